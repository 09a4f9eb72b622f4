package edgestoretest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// Open makes an empty store for one test, and removes it afterwards. What is
// appended has its blobs in blobs; a memory store ignores them. firstSeq is
// what the stream begins with.
type Open func(t testing.TB, blobs *Blobs, firstSeq uint64) edgestore.Store

// Kind says what sort of store is tested.
type Kind struct {
	Memory bool // sizes count as in memory streams
	Slow   bool // every step takes milliseconds: fewer of them, and none at random
	// Steps is how many random operations there are, Seed is added to their
	// seeds.
	Steps int
	Seed  uint64
}

// Run tests a store.
func Run(t *testing.T, k Kind, open Open) {
	runCases(t, k, open)
	if !k.Slow {
		runRandom(t, k, open)
	}
}

func runCases(t *testing.T, k Kind, open Open) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			blobs := new(Blobs)
			first := max(c.firstSeq, 1)
			s := open(t, blobs, first)
			h := &harness{TB: t, s: s, m: NewModel(first, k.Memory), blobs: blobs, now: 1_000_000_000, many: 1,
				at: map[uint64]edgestore.Location{}, noBreak: k.Memory || k.Slow}
			if k.Slow {
				h.many = 60
			}
			c.run(h)
			h.check()
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			if err := s.Append(&edgestore.Msg{Seq: h.m.last + 1, Subject: "late"}, edgestore.Location{}); !errors.Is(err, edgestore.ErrClosed) {
				t.Fatalf("append to a closed store: %v", err)
			}
			if _, _, err := s.LoadNext(nil, 0, nil); !errors.Is(err, edgestore.ErrClosed) {
				t.Fatalf("read from a closed store: %v", err)
			}
		})
	}
}

func runRandom(t *testing.T, k Kind, open Open) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("random operations agree with a model, seed %d", seed), func(t *testing.T) {
			blobs := new(Blobs)
			s := open(t, blobs, 1)
			Random(t, RandomOptions{Seed: k.Seed + seed, Steps: k.Steps, Memory: k.Memory, Store: s, Blobs: blobs})
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		})
	}
}

// harness does everything to a store and a model at once.
type harness struct {
	testing.TB
	s     edgestore.Store
	m     *Model
	blobs *Blobs
	now   int64
	many  int // divides large numbers
	at    map[uint64]edgestore.Location
	// noBreak: what was appended cannot be made unreadable in the journal.
	noBreak bool
}

func (h *harness) msg(seq uint64, subject, header, body string) edgestore.Msg {
	h.now += 1_000_000
	m := edgestore.Msg{Seq: seq, Time: h.now, Subject: subject, Body: []byte(body)}
	if header != "" {
		m.Header = []byte(header)
	}
	return m
}

func (h *harness) add(subject, body string) uint64 { return h.addAt(h.m.last+1, subject, "", body) }

func (h *harness) addAt(seq uint64, subject, header, body string) uint64 {
	h.Helper()
	m := h.msg(seq, subject, header, body)
	at := h.blobs.Add(&m)
	if err := h.s.Append(&m, at); err != nil {
		h.Fatalf("append %d: %v", seq, err)
	}
	h.at[seq] = at
	h.m.append(m)
	return seq
}

func (h *harness) remove(seq uint64) {
	h.Helper()
	size, ok, err := remove(h.s, seq, seq%2 == 0)
	wsize, wok := h.m.remove(seq)
	if err != nil || ok != wok || size != wsize {
		h.Fatalf("remove %d: got %d, %v, %v, want %d, %v", seq, size, ok, err, wsize, wok)
	}
}

func (h *harness) compact(seq uint64) {
	h.Helper()
	n, err := h.s.Compact(seq)
	if want := h.m.compact(seq); err != nil || n != want {
		h.Fatalf("compact %d: got %d, %v, want %d", seq, n, err, want)
	}
}

func (h *harness) purge(filter string, seq, keep uint64) {
	h.Helper()
	n, err := h.s.Purge(filter, seq, keep)
	if want := h.m.purge(filter, seq, keep); err != nil || n != want {
		h.Fatalf("purge %q below %d keep %d: got %d, %v, want %d", filter, seq, keep, n, err, want)
	}
}

// lose breaks some sequences (in the journal, if they are there only) and books
// a range.
func (h *harness) lose(first, last uint64, broken ...uint64) {
	h.Helper()
	for _, seq := range broken {
		h.blobs.Break(h.at[seq])
	}
	n, err := h.s.Lose(first, last)
	want := h.m.lose(first, last, func(seq uint64) bool { return slices.Contains(broken, seq) })
	if err != nil || n != want {
		h.Fatalf("lose %d..%d: got %d, %v, want %d", first, last, n, err, want)
	}
}

func (h *harness) skip(last uint64) {
	h.now += 1_000_000
	h.s.Skip(last, h.now)
	h.m.skip(last, h.now)
}

var suiteFilters = [][]string{nil, {">"}, {"a.b"}, {"a.*"}, {"*.b"}, {"a.>"}, {"a.b", "c"}, {"a.*", "*.b"}, {"none"}, {"none.>"}, {"c"}, {"*"}, {"*.*.x"}}

func (h *harness) check() {
	h.Helper()
	checkAll(h, h.s, h.m, suiteFilters)
}

var cases = []struct {
	name     string
	firstSeq uint64
	run      func(h *harness)
}{
	{name: "an empty store has first one above last", run: func(h *harness) {
		if s := h.s.State(); s.FirstSeq != 1 || s.LastSeq != 0 || s.Msgs != 0 || !s.LastTime.IsZero() || !s.FirstTime.IsZero() {
			h.Fatalf("state %+v", s)
		}
		checkLoad(h, h.s, h.m, 0)
		checkLoad(h, h.s, h.m, 1)
		if n, err := h.s.Purge("", 0, 0); n != 0 || err != nil {
			h.Fatalf("purge of nothing: %d, %v", n, err)
		}
	}},
	{name: "a stream may begin above one", firstSeq: 1000, run: func(h *harness) {
		if s := h.s.State(); s.FirstSeq != 1000 || s.LastSeq != 999 {
			h.Fatalf("state %+v", s)
		}
		h.add("a.b", "one")
		h.check()
	}},
	{name: "messages come back with all their parts", run: func(h *harness) {
		h.addAt(1, "a.b", "NATS/1.0\r\nx: y\r\n\r\n", "body")
		h.addAt(2, "a.b", "NATS/1.0\r\n\r\n", "")
		h.addAt(3, "c", "", "")
		h.addAt(4, "a.x", "", string(make([]byte, 70_000)))
		for seq := uint64(0); seq < 6; seq++ {
			checkLoad(h, h.s, h.m, seq)
		}
		m, _, err := h.s.Load(3, make([]byte, 0, 100))
		if err != nil || m.Header != nil {
			h.Fatalf("a message without header has one: %+v, %v", m, err)
		}
	}},
	{name: "what is read does not change when the store does", run: func(h *harness) {
		h.add("a.b", "first")
		m, _, err := h.s.Load(1, nil)
		if err != nil {
			h.Fatal(err)
		}
		h.remove(1)
		for i := 0; i < 50; i++ {
			h.add("a.b", "other")
		}
		if string(m.Body) != "first" {
			h.Fatalf("body became %q", m.Body)
		}
	}},
	{name: "a borrowed message may change after the append", run: func(h *harness) {
		body := []byte("before")
		m := h.msg(1, "a.b", "", "before")
		m.Body = body
		at := h.blobs.Add(&m)
		if err := h.s.Append(&m, at); err != nil {
			h.Fatal(err)
		}
		copy(body, "AFTERX")
		m.Body = []byte("before")
		h.m.append(m)
		checkLoad(h, h.s, h.m, 1)
	}},
	{name: "sequences do not go back", run: func(h *harness) {
		h.add("a.b", "x")
		m := h.msg(1, "a.b", "", "again")
		if err := h.s.Append(&m, h.blobs.Add(&m)); err == nil {
			h.Fatal("a second message with sequence 1 was taken")
		}
	}},
	{name: "a jump leaves a gap", run: func(h *harness) {
		h.add("a.b", "1")
		h.addAt(5, "c", "", "5")
		h.check()
		h.addAt(200_005, "a.x", "", "far")
		if got := h.s.State().NumDeleted; got != 3+199_999 {
			h.Fatalf("deleted %d", got)
		}
		checkLoad(h, h.s, h.m, 70_000)
		h.compact(200_000)
	}},
	{name: "a jump may be enormous", run: func(h *harness) {
		h.add("a.b", "1")
		h.addAt(1<<50, "c", "", "far")
		h.addAt(1<<50+3, "a.b", "", "farther")
		if s := h.s.State(); s.Msgs != 3 || s.NumDeleted != 1<<50-2+2 {
			h.Fatalf("state %+v", s)
		}
		checkNear(h, h.s, h.m, nil, 2)
		checkNear(h, h.s, h.m, []string{"a.b"}, 2)
		h.remove(1)
	}},
	{name: "skip moves the end", run: func(h *harness) {
		h.skip(3)
		h.check()
		h.add("a.b", "4")
		h.skip(10)
		h.skip(2)
		h.check()
		h.add("a.b", "11")
	}},
	{name: "losing numbers behind the end", run: func(h *harness) {
		h.lose(1, 3)
		h.check()
		h.add("a.b", "4")
		h.lose(2, 4)
		h.lose(5, 9)
		h.check()
		h.add("c", "10")
		h.lose(100, 200)
		if s := h.s.State(); s.LastSeq != 200 || s.Msgs != 2 {
			h.Fatalf("state %+v", s)
		}
		if d := h.s.Damage(); !slices.Equal(d, []edgestore.SeqRange{{First: 1, Last: 3}, {First: 5, Last: 9}, {First: 100, Last: 200}}) {
			h.Fatalf("damage %v", d)
		}
		h.compact(7)
		h.check()
		if _, err := h.s.Lose(3, 2); err == nil {
			h.Fatal("a range that ends before it begins was taken")
		}
		h.purge("", 0, 0)
		h.check()
	}},
	{name: "losing messages", run: func(h *harness) {
		if h.noBreak {
			return
		}
		for i := 0; i < 30; i++ {
			h.add([]string{"a.b", "c", "a.x", "b.b"}[i%4], fmt.Sprint(i))
		}
		h.lose(1, 2, 1, 2)
		h.check()
		h.remove(5)
		h.lose(3, 12, 7, 8, 9)
		h.check()
		h.lose(29, 33, 30)
		h.check()
		h.purge("c", 0, 1)
		h.lose(1, 40, 13, 3, 4, 6, 10, 11, 12)
		h.check()
		h.add("c", "after")
		h.compact(20)
		h.check()
	}},
	{name: "losing the only message of a subject, and all messages", run: func(h *harness) {
		if h.noBreak {
			return
		}
		h.add("a.b", "1")
		h.add("c", "2")
		h.add("a.b", "3")
		h.lose(2, 2, 2)
		h.check()
		h.lose(1, 3, 1, 3)
		h.check()
		h.add("c", "4")
	}},
	{name: "removing moves first over gaps", run: func(h *harness) {
		for i := 0; i < 10; i++ {
			h.add("a.b", fmt.Sprint(i))
		}
		for _, seq := range []uint64{2, 3, 1, 1, 10, 99, 0, 5} {
			h.remove(seq)
			h.check()
		}
	}},
	{name: "removing all leaves first above last", run: func(h *harness) {
		h.add("a.b", "1")
		h.add("c", "2")
		h.remove(2)
		h.remove(1)
		h.check()
		h.add("c", "3")
	}},
	{name: "compact", run: func(h *harness) {
		for i := 0; i < 20; i++ {
			h.add([]string{"a.b", "c", "a.x"}[i%3], fmt.Sprint(i))
		}
		h.remove(8)
		h.compact(0)
		h.compact(1)
		h.compact(5)
		h.check()
		h.compact(8)
		h.check()
		h.compact(20)
		h.check()
		h.compact(100)
		h.check()
		h.add("a.b", "after")
	}},
	{name: "purge", run: func(h *harness) {
		for i := 0; i < 30; i++ {
			h.add([]string{"a.b", "c", "a.x"}[i%3], fmt.Sprint(i))
		}
		h.purge("c", 10, 0)
		h.check()
		h.purge("a.*", 0, 4)
		h.check()
		h.purge("none", 0, 0)
		h.purge("c", 0, 100)
		h.purge("", 0, 5)
		h.check()
		h.purge("c", 0, 0)
		h.check()
		h.purge(">", 29, 0)
		h.check()
		h.purge("", 0, 0)
		h.check()
		h.add("a.b", "after")
	}},
	{name: "subjects that look like prefixes of each other", run: func(h *harness) {
		for _, s := range []string{"a", "a-b", "a.b", "a/b", "a.b.c", "ab", "a.b-c.d", "a.b.x", "b.b.x", "b-b", "*x.b", "a.c.x"} {
			h.add(s, s)
		}
		for _, f := range []string{"a", "a.*", "a.>", "*", "*.b", "*.b.x", "*.*.x", "a.b.*", "b.>"} {
			checkSubjects(h, h.s, h.m, f)
			for at := uint64(0); at < 14; at++ {
				checkNear(h, h.s, h.m, []string{f}, at)
			}
		}
	}},
	{name: "many subjects", run: func(h *harness) {
		for i := 0; i < 3000/h.many; i++ {
			h.addAt(h.m.last+1, fmt.Sprintf("s.%d.%d", i%50, i*7919%(1501/h.many)), "", "")
		}
		for _, f := range []string{"s.7.*", "s.*.7", "s.>", "s.10.11"} {
			checkSubjects(h, h.s, h.m, f)
			checkNear(h, h.s, h.m, []string{f}, 1500/uint64(h.many))
		}
		h.purge("s.*.7", 0, 0)
		h.purge("s.3.*", 0, 1)
		checkSubjects(h, h.s, h.m, ">")
	}},
	{name: "a key-value stream keeps the newest of each subject", run: func(h *harness) {
		for i := 0; i < 400/h.many; i++ {
			key := fmt.Sprintf("a.%d", i*i%37)
			h.add(key, fmt.Sprint(i))
			if st, ok, _ := h.s.Subject(key); ok && st.Msgs > 1 {
				h.remove(st.First)
			}
		}
		h.check()
		if got, err := h.s.LastPerSubject(nil, 0, 0); err != nil || !slices.Equal(got, h.m.lastPerSubject(nil, 0, 0)) {
			h.Fatalf("last per subject: %v, %v, want %v", got, err, h.m.lastPerSubject(nil, 0, 0))
		}
	}},
	{name: "history of several a subject", run: func(h *harness) {
		for i := 0; i < 300/h.many; i++ {
			key := fmt.Sprintf("a.%d", i*i%7)
			h.add(key, fmt.Sprint(i))
			if st, ok, _ := h.s.Subject(key); ok && st.Msgs > 5 {
				h.remove(st.First)
			}
			if i%50 == 49 {
				last, _ := h.s.LastFor(key)
				h.remove(last)
			}
		}
		h.check()
	}},
	{name: "sequence at a time", run: func(h *harness) {
		times := []int64{10, 20, 30, 15, 40, 40, 50} // the clock was set back once
		for i, at := range times {
			m := edgestore.Msg{Seq: uint64(i + 1), Time: at * int64(time.Second), Subject: "a.b"}
			if err := h.s.Append(&m, h.blobs.Add(&m)); err != nil {
				h.Fatal(err)
			}
			h.m.append(m)
		}
		h.remove(2)
		for _, at := range []int64{0, 5, 10, 11, 20, 25, 30, 31, 40, 41, 50, 51} {
			if got, err := h.s.SeqAt(time.Unix(at, 0)); err != nil || got != h.m.seqAt(at*int64(time.Second)) {
				h.Fatalf("at %d: got %d, %v, want %d", at, got, err, h.m.seqAt(at*int64(time.Second)))
			}
		}
		if got, err := h.s.SeqAt(time.Time{}); err != nil || got != 1 {
			h.Fatalf("at the zero time: %d, %v", got, err)
		}
	}},
	{name: "named values", run: func(h *harness) {
		put := func(applied edgestore.LSN, aux ...edgestore.Aux) {
			h.s.Seal(applied, edgestore.Chain{}, aux)
			if err := h.s.Flush(); err != nil {
				h.Fatalf("flush: %v", err)
			}
		}
		put(7, edgestore.Aux{Key: "c/2", Value: []byte("two")}, edgestore.Aux{Key: "c/1", Value: []byte("one")}, edgestore.Aux{Key: "d", Value: []byte{}})
		h.s.Seal(8, edgestore.Chain{}, []edgestore.Aux{{Key: "c/1", Value: []byte("uno")}, {Key: "e", Value: []byte("x")}})
		put(9, edgestore.Aux{Key: "c/2"}, edgestore.Aux{Key: "c/3", Value: []byte("three")})
		var got []string
		visit := func(k string, v []byte) error { got = append(got, k+"="+string(v)); return nil }
		if err := h.s.Aux("c/", visit); err != nil {
			h.Fatal(err)
		}
		if want := []string{"c/1=uno", "c/3=three"}; !slices.Equal(got, want) {
			h.Fatalf("got %q, want %q", got, want)
		}
		got = nil
		if err := h.s.Aux("", visit); err != nil || len(got) != 4 {
			h.Fatalf("all values: %q, %v", got, err)
		}
		stop := errors.New("stop")
		if err := h.s.Aux("", func(string, []byte) error { return stop }); !errors.Is(err, stop) {
			h.Fatalf("error of the visitor: %v", err)
		}
		if got := h.s.Applied(); got < 9 {
			h.Fatalf("applied %d", got)
		}
	}},
}
