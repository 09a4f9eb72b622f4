package journal

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the crash tests; 0 chooses one")
	livesFlag = flag.Int("lives", lives(), "how often the crash test pulls the plug")
)

// lives is more in the long form of the test, which make soak asks for.
func lives() int {
	if os.Getenv("FROND_SOAK") != "" {
		return 80
	}
	return 20
}

func testSeed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed=%d", seed)
	return seed
}

// model knows what was appended and what was acknowledged. It survives
// crashes; the journal does not.
type model struct {
	t        *testing.T
	guarded  bool // entries are synced before they are applied
	mu       sync.Mutex
	appended [][]byte // by LSN-1: what was appended to the history that holds now
	released edgestore.LSN
	// acked is the newest LSN that apply has got. With SyncInterval that
	// promises nothing, and the newest synced LSN is asked for instead.
	acked atomic.Uint64
}

func (m *model) apply(entries []edgestore.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		if uint64(e.LSN) != m.acked.Load()+1 {
			m.t.Errorf("LSN %d applied after %d", e.LSN, m.acked.Load())
		}
		if int(e.LSN) > len(m.appended) || !bytes.Equal(e.Data, m.appended[e.LSN-1]) {
			m.t.Errorf("LSN %d was not appended like that", e.LSN)
		}
		m.acked.Store(uint64(e.LSN))
	}
}

// append appends one record and remembers it.
func (m *model) append(j *Journal, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lsn, err := j.Append(&edgestore.Record{Incarnation: 3, Kind: 1}, nil, nil, data)
	if err != nil {
		return // refused: it must not turn up
	}
	if int(lsn) != len(m.appended)+1 {
		m.t.Errorf("LSN %d given after %d", lsn, len(m.appended))
	}
	m.appended = append(m.appended, data)
}

// check compares what a start found with what it must find: everything up to
// promised, perhaps more of what was appended, nothing else, nothing missing.
func (m *model) check(j *Journal, rec Recovery, promised edgestore.LSN, what string) {
	m.t.Helper()
	if rec.Last < promised || int(rec.Last) > len(m.appended) {
		m.t.Fatalf("%s: recovered up to %d, promised %d, appended %d", what, rec.Last, promised, len(m.appended))
	}
	m.appended = m.appended[:rec.Last]
	want := m.released + 1
	for _, e := range mustReplay(m.t, j, m.released) {
		if e.LSN != want {
			m.t.Fatalf("%s: LSN %d replayed, want %d", what, e.LSN, want)
		}
		if !bytes.Equal(e.Data, m.appended[e.LSN-1]) {
			m.t.Fatalf("%s: LSN %d came back different", what, e.LSN)
		}
		b, err := j.Read(e.At, nil)
		if err != nil || !bytes.Equal(b, e.Data) {
			m.t.Fatalf("%s: read LSN %d at %+v: %v", what, e.LSN, e.At, err)
		}
		want++
	}
	if want != rec.Last+1 {
		m.t.Fatalf("%s: replay ended before %d, recovered %d", what, want, rec.Last)
	}
	if d := j.Damage(); len(d) > 0 || len(rec.Mended) > 0 {
		m.t.Fatalf("%s: a crash is no damage: %v (promised %d, recovered %+v)", what, d, promised, rec)
	}
	m.acked.Store(uint64(rec.Last))
}

func randomData(rnd *rand.Rand) []byte {
	n := rnd.IntN(300)
	switch rnd.IntN(30) {
	case 0:
		n = rnd.IntN(20_000)
	case 1:
		n = 0
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func TestJournal_keepsItsPromisesOverCrashes(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"failing disk":    func(o *Options) { o.FS = vfs.WithFaults(o.FS) },
		"as given":        func(*Options) {},
		"commit interval": func(o *Options) { o.CommitInterval = time.Millisecond },
		"sync interval":   func(o *Options) { o.SyncInterval = 2 * time.Millisecond },
		"changing sizes":  func(*Options) {},
		"no cache":        func(o *Options) { o.CacheBytes, o.BallastBytes, o.KeepFree = -1, -1, 1 },
		"small groups":    func(o *Options) { o.GroupBytes = minGroup; o.StagedBytes = 40_000 },
	} {
		t.Run(name, func(t *testing.T) {
			seed := testSeed(t)
			rnd := rand.New(rand.NewPCG(seed, 1))
			o := memOptions(vfs.NewMem())
			change(&o)
			m := &model{t: t, guarded: o.SyncInterval == 0}
			promised := edgestore.LSN(0)
			for life := range *livesFlag {
				if name == "changing sizes" {
					o.SegmentBytes = []int64{minSegment, 2 * minSegment, minSegment + 10*sector}[rnd.IntN(3)]
				}
				o.FS, promised = m.live(o, rnd, promised, fmt.Sprint("life ", life))
				if t.Failed() {
					return
				}
			}
		})
	}
}

// live is one life: open, check, work, and lose power somewhere in it.
func (m *model) live(o Options, rnd *rand.Rand, promised edgestore.LSN, what string) (vfs.FS, edgestore.LSN) {
	mem, _ := o.FS.(*vfs.Mem)
	faults, failing := o.FS.(*vfs.Faults)
	if failing {
		mem = faults.FS.(*vfs.Mem)
	}
	crash := func(keep float64) vfs.FS {
		if failing {
			return vfs.WithFaults(mem.Crash(rnd, keep))
		}
		return mem.Crash(rnd, keep)
	}
	keep := []float64{0, 0.3, 0.5, 0.9, 1}[rnd.IntN(5)]
	j, rec := mustOpen(m.t, o)
	m.check(j, rec, promised, what)
	if rnd.IntN(10) == 0 { // the power goes before anything happened
		promised = rec.Last
		after := crash(keep)
		j.Close()
		return after, promised
	}
	if failing {
		var mu sync.Mutex
		rare := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		faults.SetHook(func(c vfs.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if (c.Op == vfs.OpSync || c.Op == vfs.OpWrite) && rare.IntN(15) == 0 {
				return errDisk
			}
			return nil
		})
	}
	sync := func() {
		if !failing {
			mustSync(m.t, j)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := j.Sync(ctx); err != nil && !errors.Is(err, errDisk) {
			m.t.Error(err)
		}
	}
	j.Start(m.apply)
	for steps := rnd.IntN(300); steps > 0; steps-- {
		switch n := rnd.IntN(100); {
		case n < 80:
			m.append(j, randomData(rnd))
		case n < 95:
			j.Kick()
		case n < 97:
			sync()
		default:
			m.mu.Lock()
			upTo := edgestore.LSN(m.acked.Load())
			if back := edgestore.LSN(rnd.IntN(100)); upTo > back && upTo-back > m.released {
				m.released = upTo - back
				if !m.guarded {
					m.released = min(m.released, j.Synced())
				}
			}
			upTo = m.released
			m.mu.Unlock()
			j.Release(upTo)
		}
	}
	switch rnd.IntN(4) {
	case 0:
		sync()
	case 1:
		j.Kick()
	case 2: // an orderly end; nothing may be lost after it
		if err := j.Close(); err != nil && !failing {
			m.t.Error(err)
		}
		return crash(keep), edgestore.LSN(m.acked.Load())
	}
	// First what was promised, then the crash: what is promised in between
	// is not asked for.
	promised = j.Synced()
	if m.guarded {
		promised = edgestore.LSN(m.acked.Load())
	}
	after := crash(keep)
	j.Close()
	return after, promised
}

// TestJournal_survivesACrashAtEveryCall pulls the plug before the first call of
// the file system, before the second, and so on, until the story ends without.
func TestJournal_survivesACrashAtEveryCall(t *testing.T) {
	seed := testSeed(t)
	step := 1
	if testing.Short() {
		step = 5
	}
	for k := 1; ; k += step {
		rnd := rand.New(rand.NewPCG(seed, uint64(k)))
		m := &model{t: t, guarded: true}
		mem := vfs.NewMem()
		faults := vfs.WithFaults(mem)
		var (
			crash    sync.Once
			after    *vfs.Mem
			promised edgestore.LSN
			released edgestore.LSN
			calls    atomic.Int64
		)
		faults.SetHook(func(c vfs.Call) error {
			if calls.Add(1) >= int64(k) && c.Op != vfs.OpRead {
				crash.Do(func() {
					m.mu.Lock()
					defer m.mu.Unlock()
					promised, released = edgestore.LSN(m.acked.Load()), m.released
					after = mem.Crash(rnd, 0.6)
				})
			}
			return nil
		})
		o := memOptions(faults)
		story := rand.New(rand.NewPCG(seed, 0))
		for range 2 { // lives
			j, rec, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			m.check(j, rec, edgestore.LSN(m.acked.Load()), "without a crash")
			j.Start(m.apply)
			for range 12 {
				for range 10 {
					m.append(j, randomData(story))
				}
				mustSync(t, j)
				if upTo := m.acked.Load(); upTo > 30 {
					m.mu.Lock()
					m.released = edgestore.LSN(upTo - 30)
					m.mu.Unlock()
					j.Release(edgestore.LSN(upTo - 30))
				}
			}
			mustClose(t, j)
		}
		end := false
		crash.Do(func() { end = true })
		if end {
			t.Logf("%d calls", calls.Load())
			return
		}
		if after == nil || t.Failed() {
			return
		}
		o = memOptions(after)
		m.released = released
		j, rec := mustOpen(t, o)
		m.check(j, rec, promised, fmt.Sprintf("crash at call %d", k))
		mustClose(t, j)
		j, rec = mustOpen(t, o)
		m.check(j, rec, edgestore.LSN(len(m.appended)), fmt.Sprintf("second start after a crash at call %d", k))
		mustClose(t, j)
	}
}
