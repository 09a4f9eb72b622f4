package cond

import (
	"sync"
	"testing"
	"testing/synctest"
)

func TestVar_Signal_wakes_one_and_is_not_kept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		v := New(&mu, 3)
		woken := 0
		wait := func() {
			mu.Lock()
			defer mu.Unlock()
			v.Wait()
			woken++
		}
		expect := func(n int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if woken != n {
				t.Errorf("%d were woken, want %d", woken, n)
			}
		}
		with := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
		with(v.Signal) // nobody waits: nobody hears of it later
		for range 3 {
			go wait()
		}
		expect(0)
		with(v.Signal)
		expect(1)
		with(v.Broadcast)
		expect(3)
		with(v.Broadcast)
		go wait()
		expect(3)
		with(v.Broadcast)
		expect(4)
	})
}

// Nothing is lost and nobody sleeps for ever while many put and many take.
func TestVar_queue(t *testing.T) {
	const takers, putters, each = 4, 3, 2000
	var mu sync.Mutex
	v := New(&mu, takers)
	queue, taken, closed := 0, 0, false
	var put, take sync.WaitGroup
	for range takers {
		take.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for {
				for queue == 0 && !closed {
					v.Wait()
				}
				if queue == 0 {
					return
				}
				queue--
				taken++
			}
		})
	}
	for range putters {
		put.Go(func() {
			for range each {
				mu.Lock()
				queue++
				v.Signal()
				mu.Unlock()
			}
		})
	}
	put.Wait()
	mu.Lock()
	closed = true
	v.Broadcast()
	mu.Unlock()
	take.Wait()
	if taken != putters*each {
		t.Errorf("%d were taken, want %d", taken, putters*each)
	}
}

func TestVar_allocates_nothing(t *testing.T) {
	var mu sync.Mutex
	v := New(&mu, 1)
	if n := testing.AllocsPerRun(100, func() {
		mu.Lock()
		v.Signal()
		v.Broadcast()
		mu.Unlock()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
