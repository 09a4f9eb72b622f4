package edgestoretest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// RandomOptions say what Random does.
type RandomOptions struct {
	Seed   uint64
	Steps  int
	Memory bool
	Store  edgestore.Store
	Blobs  *Blobs
	// Crash throws the store away without closing what was not flushed, and
	// opens it again from its files. nil: the store does not survive.
	Crash func(t testing.TB) edgestore.Store
	// Fail, if not nil, is told before each flush and may make it fail. Flushed
	// is told of each one that did not.
	Fail    func(rnd *rand.Rand)
	Flushed func()
}

// operation is one mutation as a journal would carry it.
type operation struct {
	kind   int
	msg    edgestore.Msg
	at     edgestore.Location
	seq    uint64
	keep   uint64 // opRemove: in two steps
	time   int64
	filter string
	broken []edgestore.Location // opLose: what breaks just before
	seqs   map[uint64]bool      // their sequences
}

const (
	opAppend = iota
	opSkip
	opRemove
	opCompact
	opPurge
	opLose
)

// Random does random operations to a store and to a model, and compares what
// they return and hold. With Crash it also seals, flushes, crashes, and applies
// again what lies above Applied, as a restart does.
func Random(t testing.TB, o RandomOptions) {
	t.Helper()
	t.Logf("seed %d", o.Seed)
	r := &random{
		TB: t, o: o, s: o.Store, m: NewModel(1, o.Memory),
		rnd: rand.New(rand.NewPCG(o.Seed, 77)), now: 1_700_000_000_000_000_000,
		aux: map[string]string{}, auxAt: map[edgestore.LSN]map[string]string{0: {}}, inJournal: map[uint64]edgestore.Location{},
	}
	for i := 0; i < o.Steps; i++ {
		r.step()
	}
	checkAll(t, r.s, r.m, randomFilters)
	r.checkAux()
}

type random struct {
	testing.TB
	o       RandomOptions
	s       edgestore.Store
	m       *Model
	rnd     *rand.Rand
	now     int64
	log     []operation       // log[i] has LSN i+1
	aux     map[string]string // as of the last seal
	durable map[string]string // as of the last flush
	auxAt   map[edgestore.LSN]map[string]string
	// released is how much of its log a journal would have given up.
	released edgestore.LSN
	// inJournal are messages that no flush has moved into chunks.
	inJournal map[uint64]edgestore.Location
}

var randomFilters = [][]string{nil, {"k.1"}, {"k.*"}, {"*.2"}, {"deep.>"}, {"k.3", "k.4"}, {"rare"}, {"deep.*.2", "k.>"}, {"deep.1.1"}, {"no.such"}}

func (r *random) subject() string {
	switch n := r.rnd.IntN(100); {
	case n == 0:
		return "rare"
	case n < 60:
		return fmt.Sprintf("k.%d", r.rnd.IntN(8))
	default:
		return fmt.Sprintf("deep.%d.%d", r.rnd.IntN(6), r.rnd.IntN(6))
	}
}

func (r *random) place() uint64 {
	return r.m.first + r.rnd.Uint64N(r.m.last-r.m.first+3)
}

func (r *random) step() {
	r.Helper()
	switch n := r.rnd.IntN(1000); {
	case n < 700:
		for i := r.rnd.IntN(20); i >= 0; i-- {
			r.appendOne()
		}
	case n < 710:
		r.do(operation{kind: opSkip, seq: r.m.last + r.rnd.Uint64N(4), time: r.now})
	case n < 860:
		for i := r.rnd.IntN(8); i >= 0; i-- {
			seq := r.place()
			if r.rnd.IntN(3) == 0 {
				seq = r.m.first
			}
			r.do(operation{kind: opRemove, seq: seq, keep: r.rnd.Uint64N(2)})
		}
	case n < 890:
		r.do(operation{kind: opCompact, seq: min(r.place(), r.m.first+20)})
	case n < 892:
		r.do(operation{kind: opCompact, seq: r.place()})
	case n < 930:
		f := randomFilters[r.rnd.IntN(len(randomFilters))]
		op := operation{kind: opPurge, filter: "rare", keep: r.rnd.Uint64N(4)}
		if len(f) > 0 {
			op.filter = f[0]
		}
		if r.rnd.IntN(2) == 0 {
			op.seq = r.place()
		}
		r.do(op)
	case n < 940:
		r.do(r.lose())
	case n < 941:
		r.do(operation{kind: opPurge, keep: r.rnd.Uint64N(30)})
	case r.o.Crash != nil && n < 950:
		r.seal()
	case r.o.Crash != nil && n < 980:
		r.seal()
		r.flush()
	case r.o.Crash != nil && n < 990:
		r.crash()
	}
	checkSome(r, r.s, r.m, randomFilters, r.rnd)
	if r.rnd.IntN(100) == 0 {
		checkAll(r, r.s, r.m, randomFilters)
	}
}

// lose makes some messages unreadable that lie in the journal only, and books
// them with a few numbers behind the end.
func (r *random) lose() operation {
	op := operation{kind: opLose, seq: r.m.last + 1 - r.rnd.Uint64N(min(r.m.last-r.m.first, 60)+2), seqs: map[uint64]bool{}}
	op.seq = max(op.seq, 1)
	op.keep = op.seq + r.rnd.Uint64N(70)
	for seq, at := range r.inJournal {
		if seq >= op.seq && seq <= op.keep && seq%3 == 0 && !r.o.Memory {
			op.broken = append(op.broken, at)
			op.seqs[seq] = true
		}
	}
	return op
}

func (r *random) appendOne() {
	r.now += r.rnd.Int64N(5_000_000)
	m := edgestore.Msg{Seq: r.m.last + 1, Time: r.now, Subject: r.subject()}
	if r.rnd.IntN(50) == 0 {
		m.Seq += r.rnd.Uint64N(5)
	}
	if r.rnd.IntN(3) == 0 {
		m.Header = fmt.Appendf(nil, "NATS/1.0\r\nN: %d\r\n\r\n", m.Seq)
	}
	m.Body = make([]byte, r.rnd.IntN(300))
	for i := range m.Body {
		m.Body[i] = byte(m.Seq) + byte(i)
	}
	at := r.o.Blobs.Add(&m)
	r.inJournal[m.Seq] = at
	r.do(operation{kind: opAppend, msg: m, at: at})
}

func (r *random) do(op operation) {
	r.Helper()
	r.log = append(r.log, op)
	r.apply(op)
}

func (r *random) apply(op operation) {
	r.Helper()
	switch op.kind {
	case opAppend:
		if err := r.s.Append(&op.msg, op.at); err != nil {
			r.Fatalf("append %d: %v", op.msg.Seq, err)
		}
		r.m.append(op.msg)
	case opSkip:
		r.s.Skip(op.seq, op.time)
		r.m.skip(op.seq, op.time)
	case opRemove:
		size, ok, err := remove(r.s, op.seq, op.keep != 0)
		if wsize, wok := r.m.remove(op.seq); err != nil || size != wsize || ok != wok {
			r.Fatalf("remove %d: got %d, %v, %v, want %d, %v", op.seq, size, ok, err, wsize, wok)
		}
	case opCompact:
		r.ready("", op.seq, 0)
		n, err := r.s.Compact(op.seq)
		if want := r.m.compact(op.seq); err != nil || n != want {
			r.Fatalf("compact %d: got %d, %v, want %d", op.seq, n, err, want)
		}
	case opLose:
		for _, at := range op.broken {
			r.o.Blobs.Break(at)
		}
		n, err := r.s.Lose(op.seq, op.keep)
		if want := r.m.lose(op.seq, op.keep, func(seq uint64) bool { return op.seqs[seq] }); err != nil || n != want {
			r.Fatalf("lose %d..%d: got %d, %v, want %d", op.seq, op.keep, n, err, want)
		}
	case opPurge:
		r.ready(op.filter, op.seq, op.keep)
		n, err := r.s.Purge(op.filter, op.seq, op.keep)
		if want := r.m.purge(op.filter, op.seq, op.keep); err != nil || n != want {
			r.Fatalf("purge %q below %d keep %d: got %d, %v, want %d", op.filter, op.seq, op.keep, n, err, want)
		}
	}
}

// ready reads now and then before what goes, as who holds a lock does.
func (r *random) ready(filter string, seq, keep uint64) {
	if seq%2 == 0 {
		return
	}
	if err := r.s.Hot().ReadPurge(filter, seq, keep); err != nil && !errors.Is(err, edgestore.ErrCold) {
		r.Fatal(err)
	} else if err == nil {
		return
	}
	if err := r.s.ReadPurge(filter, seq, keep); err != nil {
		r.Fatal(err)
	}
}

func (r *random) seal() {
	var aux []edgestore.Aux
	for i := r.rnd.IntN(3); i > 0; i-- {
		a := edgestore.Aux{Key: fmt.Sprintf("x/%d", r.rnd.IntN(5))}
		if r.rnd.IntN(3) > 0 {
			a.Value = fmt.Appendf(nil, "value %d", r.rnd.IntN(1000))
			r.aux[a.Key] = string(a.Value)
		} else {
			delete(r.aux, a.Key)
		}
		aux = append(aux, a)
	}
	r.auxAt[edgestore.LSN(len(r.log))] = maps.Clone(r.aux)
	r.s.Seal(edgestore.LSN(len(r.log)), chainAt(len(r.log)), aux)
}

// chainAt is the chain that the random test gives to an operation.
func chainAt(lsn int) edgestore.Chain {
	return edgestore.Chain{Seat: uint64(lsn), Place: uint64(lsn) * 3}
}

func (r *random) flush() {
	r.Helper()
	if r.o.Fail != nil {
		r.o.Fail(r.rnd)
	}
	before := r.s.Applied()
	if err := r.s.Flush(); err != nil {
		if r.o.Fail == nil {
			r.Fatalf("flush: %v", err)
		}
		if got := r.s.Applied(); got != before {
			r.Fatalf("applied %d after a flush of %d that failed, %d before", got, len(r.log), before)
		}
		return
	}
	if got := r.s.Applied(); got != edgestore.LSN(len(r.log)) {
		r.Fatalf("applied %d after the flush of %d", got, len(r.log))
	}
	r.released = r.s.Applied()
	if r.o.Flushed != nil {
		r.o.Flushed()
	}
	clear(r.inJournal)
	r.durable = maps.Clone(r.aux)
	r.checkAux()
}

func (r *random) checkAux() {
	r.Helper()
	if r.o.Crash == nil {
		return
	}
	var got, want []string
	if err := r.s.Aux("", func(k string, v []byte) error { got = append(got, k+"="+string(v)); return nil }); err != nil {
		r.Fatalf("aux: %v", err)
	}
	for _, k := range sortedKeys(r.durable) {
		want = append(want, k+"="+r.durable[k])
	}
	if !slices.Equal(got, want) {
		r.Fatalf("aux: got %q, want %q", got, want)
	}
}

func (r *random) crash() {
	r.Helper()
	now := r.m
	r.s = r.o.Crash(r)
	applied := r.s.Applied()
	if int(applied) > len(r.log) || applied < r.released {
		r.Fatalf("applied %d of %d, the journal begins above %d", applied, len(r.log), r.released)
	}
	clear(r.inJournal)
	for _, op := range r.log[applied:] {
		if op.kind == opAppend {
			r.inJournal[op.msg.Seq] = op.at
		}
	}
	r.durable = maps.Clone(r.auxAt[applied])
	// Build what the model was there, and go on from it.
	r.m = NewModel(1, r.o.Memory)
	for _, op := range r.log[:applied] {
		r.applyModel(op)
	}
	checkAll(r, r.s, r.m, randomFilters)
	if got := r.s.Chain(); got != chainAt(int(applied)) {
		r.Fatalf("chain %v after the operation %d", got, applied)
	}
	for _, op := range r.log[applied:] {
		r.apply(op)
	}
	if got, want := r.m.state(), now.state(); got.Msgs != want.Msgs || got.Bytes != want.Bytes || got.LastSeq != want.LastSeq {
		r.Fatalf("the model lost its way: %+v, %+v", got, want)
	}
	r.aux = map[string]string{}
	for k, v := range r.durable {
		r.aux[k] = v
	}
	r.checkAux()
}

func (r *random) applyModel(op operation) {
	switch op.kind {
	case opAppend:
		r.m.append(op.msg)
	case opSkip:
		r.m.skip(op.seq, op.time)
	case opRemove:
		r.m.remove(op.seq)
	case opCompact:
		r.m.compact(op.seq)
	case opLose:
		r.m.lose(op.seq, op.keep, func(seq uint64) bool { return op.seqs[seq] })
	case opPurge:
		r.m.purge(op.filter, op.seq, op.keep)
	}
}
