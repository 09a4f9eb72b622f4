package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// twinGroup is a log that two engines share: what one of them appends, and what
// was committed of it, both apply. It takes its time, cuts what is committed at
// random, refuses some of what is appended, and loses what is not committed when
// another one becomes leader.
type twinGroup struct {
	mu        sync.Mutex
	rnd       *rand.Rand
	entries   []edgestore.Entry // committed: the first has LSN 1
	pending   []edgestore.Entry // appended, of the leader of now
	leader    *twinLog
	term      uint32
	refuse    int // one of so many appends is refused; 0: none
	refused   int
	dropped   int // not committed and gone
	late      int // appends of an earlier term
	seats     map[uint64]uint64
	uneven    []string // operations that do not follow those before
	damaged   []string
	held      bool  // nothing is committed
	holds     uint8 // nor this kind of operation, and what is behind it, until the next election
	holdsNext uint8 // the same from there on
}

// twinLog is the log as one engine has it.
type twinLog struct {
	g       *twinGroup
	cmds    chan twinCommand
	started chan *replay
	kick    chan struct{} // there is something to commit
	quit    chan struct{}
	stopped chan struct{} // of the goroutine that applies; nil: there is none
	// applied is what a follower was given, released what is in its files.
	applied, released edgestore.LSN
	// change, if not nil, is a fault of the test: what this engine applies.
	change func(list []edgestore.Entry) []edgestore.Entry
	lost   func([]edgestore.Entry)
	// place is where its own journal has the operations.
	place twinPlace
}

// twinPlace is where the operations of the group lie in the journal of one server:
// what else is in that is between them. Nothing but the server itself may go by it.
type twinPlace struct{ every, from edgestore.LSN }

func (p twinPlace) lsn(index edgestore.LSN) edgestore.LSN { return index*p.every + p.from }

// index is the last operation of the group up to an LSN.
func (p twinPlace) index(lsn edgestore.LSN) edgestore.LSN {
	return (max(lsn, p.from) - p.from) / p.every
}

// here gives operations the LSNs that they have on this server.
func (p twinPlace) here(list []edgestore.Entry) []edgestore.Entry {
	for i := range list {
		list[i].LSN = p.lsn(edgestore.LSN(list[i].Index))
	}
	return list
}

// Leads reports whether this engine appends.
func (l *twinLog) Leads() bool {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.g.leader == l
}

// Term counts the elections.
func (l *twinLog) Term() uint32 {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.g.term
}

// Damaged takes note of what a twin tells of its disk.
func (l *twinLog) Damaged(incarnation uint64, why error) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	l.g.damaged = append(l.g.damaged, fmt.Sprintf("stream %d: %v", incarnation, why))
}

// twinCommand has a follower apply entries, and may end that: without an error it
// is the leader then. One that runs can also be told that entries are lost, and be
// given something to do between two calls of apply.
type twinCommand struct {
	entries, lost []edgestore.Entry
	do            func()
	end           bool
	err           error
	done          chan error
}

// errTwinStops ends a follower.
var errTwinStops = errors.New("the follower stops")

func (g *twinGroup) committed() edgestore.LSN {
	g.mu.Lock()
	defer g.mu.Unlock()
	return edgestore.LSN(len(g.entries))
}

// idle reports whether all that was appended is committed.
func (g *twinGroup) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending) == 0
}

// between copies the entries above one LSN up to another.
func (g *twinGroup) between(above, to edgestore.LSN) []edgestore.Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.entries[above:to])
}

// intN is the group's randomness, which several goroutines use.
func (g *twinGroup) intN(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rnd.IntN(n)
}

// elect ends a term: what the last leader had not committed is gone. It gives that,
// and how far the log is. The leader of the next one appends from open on.
func (g *twinGroup) elect() (gone []edgestore.Entry, committed edgestore.LSN) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone = g.pending
	g.dropped += len(gone)
	g.leader, g.pending, g.held, g.holds, g.holdsNext = nil, nil, false, g.holdsNext, 0
	g.term++
	return gone, edgestore.LSN(len(g.entries))
}

func (g *twinGroup) open(l *twinLog) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = l
}

func (l *twinLog) Append(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	g := l.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader != l {
		return 0, edgestore.ErrClosed
	}
	if r.Stamp.Boot != g.term {
		g.late++
		return 0, edgestore.ErrBusy
	}
	if g.refuse > 0 && g.rnd.IntN(g.refuse) == 0 {
		g.refused++
		return 0, edgestore.ErrBusy
	}
	en := edgestore.Entry{Record: *r, Side: slices.Clone(side), Token: token}
	en.Data = slices.Concat(data...)
	if r.Chain != nil {
		r.Chain.Next(&en.Record)
	}
	en.Chain, en.Corrects = nil, 0
	en.Group, en.Term = 1, uint64(g.term)
	en.LSN = edgestore.LSN(len(g.entries) + len(g.pending) + 1)
	en.Index = uint64(en.LSN)
	en.At = edgestore.Location{Segment: uint64(en.LSN), Length: uint32(len(en.Data))}
	g.pending = append(g.pending, en)
	return l.place.lsn(en.LSN), nil
}

func (l *twinLog) AppendReserved(r *edgestore.Record, side []byte, token any, data ...[]byte) (edgestore.LSN, error) {
	return l.Append(r, side, token, data...)
}

func (l *twinLog) Kick() { poke(l.kick) }

// Lost keeps what is told of what is gone. Who is killed with it is told nothing.
func (l *twinLog) Lost(f func([]edgestore.Entry)) { l.lost = f }

// Start commits in a goroutine of its own, as a journal does, or applies what is
// given to a follower.
func (l *twinLog) Start(apply func([]edgestore.Entry)) {
	l.stopped = make(chan struct{})
	go func() {
		defer close(l.stopped)
		for {
			select {
			case <-l.quit:
				return
			case c := <-l.cmds:
				if len(c.lost) > 0 {
					l.lost(l.place.here(c.lost))
				}
				if len(c.entries) > 0 {
					apply(l.place.here(c.entries))
				}
				if c.do != nil {
					c.do()
				}
				c.done <- nil
			case <-l.kick:
				for l.commit(apply) {
				}
			}
		}
	}()
}

// commit takes a while, and then a part of what was appended. It reports whether
// there is more.
func (l *twinLog) commit(apply func([]edgestore.Entry)) bool {
	g := l.g
	// The time of the bubble stands still while anybody waits for a lock, as who
	// holds one over a commit makes others do.
	for range g.intN(30) {
		runtime.Gosched()
	}
	g.mu.Lock()
	if g.leader != l || g.held || len(g.pending) == 0 {
		g.mu.Unlock()
		return false
	}
	n := 1 + g.rnd.IntN(len(g.pending))
	if i := slices.IndexFunc(g.pending, func(en edgestore.Entry) bool { return en.Kind == g.holds }); i >= 0 {
		n = min(n, i)
	}
	if n == 0 {
		g.mu.Unlock()
		return false
	}
	group := slices.Clone(g.pending[:n])
	g.pending = slices.Delete(g.pending, 0, n)
	for _, en := range group {
		en.Side, en.Token = nil, nil
		g.entries = append(g.entries, en)
		g.follows(&en)
	}
	g.mu.Unlock()
	apply(l.place.here(group))
	return true
}

// follows notes an operation that does not follow the one of its stream before. The
// caller holds mu.
func (g *twinGroup) follows(en *edgestore.Entry) {
	if g.seats == nil {
		g.seats = make(map[uint64]uint64)
	}
	if was := g.seats[en.Incarnation]; en.Seat != was+1 {
		g.uneven = append(g.uneven, fmt.Sprintf("operation %d of kind %d of stream %d has the seat %d behind %d", en.Index, en.Kind, en.Incarnation, en.Seat, was))
	}
	g.seats[en.Incarnation] = en.Seat
}

// Replay is where a follower lives until it runs, which for the engine is a recovery: it applies
// what it is told to, and becomes the leader or ends.
func (l *twinLog) Replay(_ edgestore.LSN, h edgestore.ReplayHandler) error {
	r := h.(*replay)
	l.started <- r
	for {
		c := <-l.cmds
		var err error
		if len(c.entries) > 0 {
			err = r.Entries(l.place.here(c.entries))
		}
		c.done <- err
		if c.end {
			return c.err
		}
	}
}

func (l *twinLog) Scan(from edgestore.LSN, f func(*edgestore.Entry) error) error {
	for _, en := range l.place.here(l.g.between(0, l.g.committed())) {
		if edgestore.LSN(en.Index) <= l.inFiles() || en.LSN < from {
			continue
		}
		if err := f(&en); err != nil {
			return err
		}
	}
	return nil
}

func (l *twinLog) Read(at edgestore.Location, buf []byte) ([]byte, error) {
	lsn := edgestore.LSN(at.Segment)
	if lsn <= l.inFiles() {
		return nil, edgestore.ErrNotFound
	}
	list := l.g.between(lsn-1, lsn)
	if l.change != nil {
		list = l.change(list)
	}
	return append(buf[:0], list[0].Data[at.Offset:at.Offset+int64(at.Length)]...), nil
}

func (l *twinLog) Recent(_ edgestore.Location, buf []byte) ([]byte, bool) { return buf, false }

func (l *twinLog) Sync(context.Context) error {
	for l.Kick(); l.Leads() && !l.g.idle(); l.Kick() {
		runtime.Gosched()
	}
	return nil
}

func (l *twinLog) Release(upTo edgestore.LSN) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	l.released = max(l.released, l.place.index(upTo))
}

func (l *twinLog) inFiles() edgestore.LSN {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.released
}

func (l *twinLog) Memory() (staged, cached int64) { return 0, 0 }

func (l *twinLog) Synced() edgestore.LSN {
	if l.Leads() {
		return l.place.lsn(l.g.committed())
	}
	return l.place.lsn(l.applied)
}

func (l *twinLog) Raise(edgestore.LSN) error { return nil }

func (l *twinLog) Close() error {
	if l.stopped != nil {
		_ = l.Sync(context.Background())
		close(l.quit)
		<-l.stopped
		l.stopped = nil
	}
	return nil
}

// twinBackend is the real disk with a shared log instead of the journal.
type twinBackend struct {
	diskBackend
	log   *twinLog
	start journalStart
	reads *twinReads
}

func (b *twinBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	if b.reads == nil {
		return b.diskBackend.store(cfg, blobs, w)
	}
	o := b.storeOptions(cfg, blobs, w)
	o.BeforeRead = func(path, _ string) error { return b.reads.call(path) }
	st, err := edgestore.OpenFileStore(o)
	if err != nil {
		return nil, err
	}
	return &stepStore{st, b.reads}, nil
}

func (b *twinBackend) journal() (fileLog, journalEnd, error) {
	b.start.boot++
	return b.log, journalEnd{start: b.start}, nil
}

var _ interface {
	fileLog
	reserver
} = (*twinLog)(nil)
