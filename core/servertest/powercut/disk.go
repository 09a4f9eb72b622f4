package powercut

import (
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Disk is what streams are on in tests that cut the power: what was not synced then is
// lost, or half of it. Start is the beginning of a run of the server, Save and Stop are
// its end; one goroutine calls them.
type Disk struct {
	t      testing.TB
	rnd    *rand.Rand
	engine *jetstream.Engine
	mem    *vfs.Mem
	dir    string
	saved  string         // the folder at the cut
	cuts   map[string]int // by the call

	// Of this run.
	armed atomic.Bool
	cut   chan struct{} // closed by the cut
	after *vfs.Mem      // what is found behind it
}

// New makes an empty one.
func New(t testing.TB, rnd *rand.Rand) *Disk {
	return &Disk{t: t, rnd: rnd, mem: vfs.NewMem(), dir: t.TempDir(), cuts: make(map[string]int)}
}

// Start begins a run: the account has streams. The power goes at the nth write or sync
// (or change of a name) while the disk is armed; never by 0. dark is told before: what is
// said behind it may stand on what is lost.
func (d *Disk) Start(a *account.Account, nth int64, dark func()) {
	d.t.Helper()
	d.cut = make(chan struct{})
	cut, mem := d.cut, d.mem
	keep, rnd := []float64{0, 0.5, 1}[d.rnd.IntN(3)], rand.New(rand.NewPCG(d.rnd.Uint64(), 2))
	var calls atomic.Int64
	disk := vfs.WithFaults(mem)
	disk.SetHook(func(c vfs.Call) error {
		switch c.Op {
		case vfs.OpRead, vfs.OpOpen, vfs.OpClose, vfs.OpLock:
			return nil
		}
		if d.armed.Load() && calls.Add(1) == nth {
			dark()
			d.after = mem.Crash(rnd, keep)
			d.cuts[string(c.Op)]++
			close(cut)
		}
		return nil
	})
	var err error
	d.engine, err = jetstream.New(jetstream.Config{
		ServerName: "srv", ServerID: "NID", Version: core.Level, APILevel: 2, Dir: d.dir,
		Journal: journal.Options{FS: disk, Dir: "journal", SegmentBytes: 256 << 10}, DrainBytes: 1 << 40,
	})
	if err == nil {
		err = d.engine.EnableAccount(streamBus{a})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// Arm has calls counted from now on, or not any more.
func (d *Disk) Arm(yes bool) { d.armed.Store(yes) }

// Cut is closed when the power has gone.
func (d *Disk) Cut() <-chan struct{} { return d.cut }

// Cuts are how often the power went, by the call.
func (d *Disk) Cuts() map[string]int { return d.cuts }

// Client is JetStream in the account.
func (d *Disk) Client(a *account.Account) (*jsclient.Client, error) {
	return core.NewStreamClient(a, jsclient.Options{Local: true})
}

// Save keeps what is on the disk besides the journal, before anything ends: nothing
// drains the journal but the end of the engine, which writes what would not be there.
func (d *Disk) Save() {
	d.t.Helper()
	select {
	case <-d.cut:
		d.saved = d.t.TempDir()
		if err := os.CopyFS(d.saved, os.DirFS(d.dir)); err != nil {
			d.t.Fatal(err)
		}
	default:
	}
}

// Stop ends the run; the next one finds what was there at the cut.
func (d *Disk) Stop() {
	d.t.Helper()
	if err := d.engine.Close(); err != nil {
		d.t.Error(err)
	}
	if d.saved != "" {
		d.mem, d.dir, d.saved = d.after, d.saved, ""
	}
}

// streamBus is an account as the engine sees it.
type streamBus struct{ a *account.Account }

func (b streamBus) Account() string { return b.a.Name() }

func (b streamBus) Publisher() jetstream.Publisher {
	return &streamPublisher{b.a, account.NewOrigin(nil, account.RoleInternal, "")}
}

func (b streamBus) Subscribe(subj, queue string, h func(*wire.Msg)) (func(), error) {
	s := &account.Sub{Subject: subj, Queue: queue, Sink: &heard{h}}
	return s.End, b.a.Subscribe(s)
}

func (b streamBus) SubscribeFrom(_, subj string, h func(*wire.Msg)) (func(), error) {
	return b.Subscribe(subj, "", h)
}

func (b streamBus) HasInterest(subj string) bool { return b.a.HasInterest(subj) }

func (b streamBus) WatchInterest(subj string, f func(bool)) func() {
	return b.a.WatchSubject(subj, f)
}

func (b streamBus) HalfReadAt() time.Time { return b.a.HalfReadAt() }

type streamPublisher struct {
	a *account.Account
	o *account.Origin
}

func (p *streamPublisher) Publish(m *wire.Msg) int {
	m.Own = true
	return p.a.Route(p.o, m)
}

func (p *streamPublisher) Flush() { p.o.Flush() }

type heard struct{ h func(*wire.Msg) }

func (*heard) Role() account.Role { return account.RoleInternal }
func (*heard) Cluster() string    { return "" }
func (*heard) Flush()             {}
func (s *heard) Deliver(_ *account.Sub, m *wire.Msg) bool {
	s.h(m)
	return true
}
