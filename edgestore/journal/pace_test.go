package journal

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

func TestPace_followsTheDisk(t *testing.T) {
	for name, c := range map[string]struct {
		latency     time.Duration // of a sync, whatever its size
		bytesPerSec float64
		lo, hi      int
	}{
		"a fast disk gets the largest groups":                  {100 * time.Microsecond, 500e6, 1 << 20, 1 << 20},
		"a slow card gets what it writes in about 20 ms":       {2 * time.Millisecond, 10e6, 80_000, 260_000},
		"the latency of a sync does not make groups small":     {50 * time.Millisecond, 10e6, 80_000, 260_000},
		"not even on the slowest one do they become tiny ones": {200 * time.Millisecond, 0.2e6, minGroup, minGroup},
	} {
		t.Run(name, func(t *testing.T) {
			p := pace{bound: 256 << 10, max: 1 << 20}
			took := func(n int) time.Duration {
				return c.latency + time.Duration(float64(n)/c.bytesPerSec*float64(time.Second))
			}
			for range 3 {
				p.learn(sector, took(sector)) // a lone record tells the latency
				for range 30 {
					p.learn(p.bound, took(p.bound))
				}
			}
			if p.bound < c.lo || p.bound > c.hi {
				t.Errorf("groups of %d bytes, want %d to %d", p.bound, c.lo, c.hi)
			}
		})
	}
}

func TestJournal_waitsForItsCommitInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := memOptions(vfs.NewMem())
		o.CommitInterval = 50 * time.Millisecond
		j, _ := mustOpen(t, o)
		var c collector
		j.Start(c.apply)
		began := time.Now()
		for range 5 {
			mustAppend(t, j, "x")
			j.Kick()
			<-time.After(5 * time.Millisecond)
		}
		if n := len(c.all()); n != 0 {
			t.Errorf("%d records were committed at once", n)
		}
		<-time.After(time.Until(began.Add(o.CommitInterval + time.Millisecond)))
		synctest.Wait()
		if n := len(c.all()); n != 5 || j.Stats().Groups != 1 {
			t.Errorf("%d of 5 records in %d groups", n, j.Stats().Groups)
		}
		// Sync does not wait.
		mustAppend(t, j, "y")
		began = time.Now()
		mustSync(t, j)
		if d := time.Since(began); d > 0 {
			t.Errorf("Sync took %v", d)
		}
		mustClose(t, j)
	})
}

func TestJournal_appliesBeforeTheSyncWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := memOptions(vfs.NewMem())
		o.SyncInterval = time.Second
		j, _ := mustOpen(t, o)
		var c collector
		j.Start(c.apply)
		mustAppend(t, j, "x")
		j.Kick()
		synctest.Wait()
		if len(c.all()) != 1 || j.Synced() != 0 {
			t.Errorf("%d applied, %d synced", len(c.all()), j.Synced())
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if j.Synced() != edgestore.LSN(1) {
			t.Errorf("%d synced after the interval", j.Synced())
		}
		mustClose(t, j)
	})
}
