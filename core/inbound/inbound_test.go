package inbound

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type owner struct{ told atomic.Int32 }

func (o *owner) HeldTooMuch() { o.told.Add(1) }

func newPart(s *Parts) (*Part, *owner) {
	p, o := new(Part), new(owner)
	p.Init(s, o)
	return p, o
}

// Who got nothing for a while pays first, those first that hold most; who sends
// slowly stays, however long it takes.
func TestParts_relieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Parts
		s.Budget.SetLimit(1000)
		slow, slowOwner := newPart(&s)
		most, mostOwner := newPart(&s)
		less, lessOwner := newPart(&s)
		most.Hold(600)
		less.Hold(300)
		for n := 1; n <= 20; n++ {
			slow.Hold(5 * n)
			time.Sleep(900 * time.Millisecond)
		}
		if slowOwner.told.Load()+mostOwner.told.Load()+lessOwner.told.Load() > 0 {
			t.Error("ended while all fits")
		}
		for n := range 20 {
			slow.Hold(500 + n)
			time.Sleep(900 * time.Millisecond)
		}
		if mostOwner.told.Load() != 1 {
			t.Errorf("who holds most and sends nothing was told %d times", mostOwner.told.Load())
		}
		if lessOwner.told.Load() != 0 || slowOwner.told.Load() != 0 {
			t.Error("ended although it is enough")
		}
		if n := s.Budget.Held(); n != 819 {
			t.Errorf("%d bytes are held, not 819", n)
		}
		most.Hold(700) // it has not heard yet
		if n := s.Budget.Held(); n != 819 {
			t.Errorf("%d bytes are held, of one that was ended", n)
		}
		for _, p := range []*Part{slow, most, less} {
			p.Hold(0)
		}
		if n := s.Budget.Held(); n != 0 {
			t.Errorf("%d bytes are held by nobody", n)
		}
		time.Sleep(3 * time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.mu.all != nil || s.mu.timer != nil {
			t.Errorf("%d are looked after for nothing", len(s.mu.all))
		}
	})
}

// When all send, and it is far too much, it does not wait for a sweep: those are
// ended that got nothing for longest, then those that hold most.
func TestParts_relievesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Parts
		s.Budget.SetLimit(1000)
		old, oldOwner := newPart(&s)
		old.Hold(300)
		time.Sleep(2500 * time.Millisecond)
		large, largeOwner := newPart(&s)
		large.Hold(900)
		small, smallOwner := newPart(&s)
		small.Hold(200)
		if oldOwner.told.Load()+largeOwner.told.Load()+smallOwner.told.Load() > 0 {
			t.Error("ended before it is half more than the limit")
		}
		small.Hold(310)
		if oldOwner.told.Load() != 1 || largeOwner.told.Load() != 1 || smallOwner.told.Load() != 0 {
			t.Errorf("told: the oldest %d, the largest %d, the last %d", oldOwner.told.Load(), largeOwner.told.Load(), smallOwner.told.Load())
		}
		if n := s.Budget.Held(); n != 310 {
			t.Errorf("%d bytes are held", n)
		}
		small.Hold(0)
		large.Hold(0)
		old.Hold(0)
		time.Sleep(3 * time.Second)
	})
}

// Without a limit it is only counted.
func TestParts_withoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Parts
		p, o := newPart(&s)
		p.Hold(1 << 30)
		time.Sleep(time.Minute)
		if n := s.Budget.Held(); n != 1<<30 || o.told.Load() != 0 {
			t.Errorf("%d bytes are held, told %d times", n, o.told.Load())
		}
		if s.mu.timer != nil {
			t.Error("somebody looks after it")
		}
	})
}
