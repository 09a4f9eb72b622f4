package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// nthCall fails one call, found by its number among those of its kind.
type nthCall struct {
	mu      sync.Mutex
	op      vfs.Op
	nth     int
	forGood bool
	seen    int
	hit     bool
	name    string
}

func (n *nthCall) hook(c vfs.Call) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Op != n.op {
		return nil
	}
	n.seen++
	if n.seen == n.nth {
		n.hit, n.name = true, c.Name
	}
	if n.seen == n.nth || n.forGood && n.hit && c.Name == n.name {
		return errDisk
	}
	return nil
}

// tellWithFault runs a small journal on a disk of which one call fails, and
// returns it as a kill leaves it.
func tellWithFault(t *testing.T, fault *nthCall) *killed {
	s := &storyteller{t: t, mem: vfs.NewMem()}
	faults := vfs.WithFaults(s.mem)
	faults.SetHook(fault.hook)
	o := memOptions(faults)
	o.BallastBytes, o.KeepFree = -1, 1
	k := &killed{what: fmt.Sprintf("%s %d fails, for good %v", fault.op, fault.nth, fault.forGood)}
	for range 2 { // lives
		j, _, err := Open(o)
		if err != nil {
			if !errors.Is(err, errDisk) {
				t.Errorf("%s: open: %v", k.what, err)
			}
			break
		}
		s.j = j
		j.Start(func([]edgestore.Entry) {})
		for i := range 8 {
			s.try(100, 20, 9000*(i%2))
			ctx, cancel := context.WithCancel(t.Context())
			if err := j.Sync(ctx); err != nil && !errors.Is(err, errDisk) {
				t.Errorf("%s: sync: %v", k.what, err)
			}
			cancel()
			k.promised = j.Synced()
		}
		synctest.Wait()
		k.promised = j.Synced()
		k.mem = s.mem.Kill()
		k.appended = append([]edgestore.Record(nil), s.appended...)
		if err := j.Close(); err != nil && !errors.Is(err, errDisk) {
			t.Errorf("%s: close: %v", k.what, err)
		}
		if int(j.Synced()) < len(s.appended) {
			break // what was not written is not there in the next life
		}
	}
	if k.mem == nil {
		k.mem = s.mem.Kill()
	}
	return k
}

// try is add where the journal may refuse.
func (s *storyteller) try(sizes ...int) {
	for _, size := range sizes {
		r := s.next(size)
		lsn, err := s.j.Append(&r, nil, nil)
		if err != nil {
			continue
		}
		if int(lsn) != len(s.appended)+1 {
			s.t.Errorf("LSN %d given after %d", lsn, len(s.appended))
		}
		r.LSN, r.Chain = lsn, nil
		r.Stamp.Boot = s.j.Boot()
		s.appended = append(s.appended, r)
	}
}

// Whichever single call of the file system fails, once or for good: what was
// promised is there after a kill, and after a power cut, and nothing is called
// damaged. A start may refuse; what is on disk is untouched by that.
func TestJournal_survivesEveryCallThatFails(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testSeed(t), 11))
	ops := []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpRename, vfs.OpCreate, vfs.OpOpen, vfs.OpClose}
	for _, op := range ops {
		hits := 0
		for _, forGood := range []bool{false, true} {
			for nth := 1; ; nth++ {
				fault := &nthCall{op: op, nth: nth, forGood: forGood}
				synctest.Test(t, func(t *testing.T) {
					k := tellWithFault(t, fault)
					for _, power := range []bool{false, true} {
						c := *k
						if c.mem = k.mem.Kill(); power {
							c.mem = k.mem.Crash(rnd, 0.5)
						}
						if v, err := c.check(); err != nil || v.lost > 0 {
							t.Errorf("%s, then power cut %v: %+v, %v", k.what, power, v, err)
						}
					}
				})
				if !fault.hit || t.Failed() {
					break
				}
				hits++
			}
		}
		if t.Failed() {
			return
		}
		if hits < 4 {
			t.Errorf("%s: %d calls failed: the test shows less than it should", op, hits)
		}
		t.Logf("%s: %d calls failed", op, hits)
	}
}

// Whichever file is gone, empty, cut to half or all zeros after a kill: what was
// promised is there or told.
func TestJournal_tellsEveryFileThatIsLostAfterAKill(t *testing.T) {
	states, _ := buildKilled(t)
	damages := map[string]func(m *vfs.Mem, name string, size int64) error{
		"gone":   func(m *vfs.Mem, name string, _ int64) error { return m.Drop(name) },
		"empty":  func(m *vfs.Mem, name string, _ int64) error { return m.Truncate(name, 0) },
		"halved": func(m *vfs.Mem, name string, size int64) error { return m.Truncate(name, size/2) },
		"zeros":  func(m *vfs.Mem, name string, _ int64) error { return m.Corrupt(name, func(b []byte) { clear(b) }) },
	}
	lost, missing := map[string]int{}, 0
	for _, k := range states {
		names, _ := k.mem.List(testDir)
		for _, name := range names {
			size := int64(len(readAll(t, k.mem, name)))
			for what, damage := range damages {
				c := k.copyOf(k.what, func(c *killed) {
					if err := damage(c.mem, testDir+"/"+name, size); err != nil {
						t.Fatal(err)
					}
				})
				v, err := c.check()
				if err != nil {
					t.Errorf("%s, %s is %s: %v", k.what, name, what, err)
				}
				if v.lost > 0 {
					lost[what]++
				}
				if v.missing {
					missing++
				}
			}
		}
	}
	for what := range damages {
		if lost[what] < 4 || missing < 8 {
			t.Errorf("lost %v, %d at the end: the test shows less than it should", lost, missing)
			break
		}
	}
}

// The judge of these tests must be able to say no.
func TestJournal_theJudgeOfFaultsSaysNo(t *testing.T) {
	states, markless := buildKilled(t)
	k := states[0]
	for what, doctor := range map[string]func(c *killed){
		"a record that was never appended like that": func(c *killed) {
			c.appended = append([]edgestore.Record(nil), c.appended...)
			c.appended[3].Data = []byte("other")
		},
		"a record in another place": func(c *killed) {
			c.appended = append([]edgestore.Record(nil), c.appended...)
			c.appended[3].Place++
		},
		"more records than there are": func(c *killed) {
			c.appended = append(c.appended, edgestore.Record{})
			c.promised++
		},
		"a promise that is broken in silence": func(c *killed) {
			*c = *markless
			c.mem = markless.mem.Kill()
			c.corrupt(t, c.active, func(b []byte) { clear(b[c.group:c.tail]) })
		},
	} {
		if v, err := k.copyOf(what, doctor).check(); err == nil {
			t.Errorf("%s: the judge has nothing against it: %+v", what, v)
		}
	}
}
