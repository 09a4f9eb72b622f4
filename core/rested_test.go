package core

import (
	"testing"
	"testing/synctest"
	"time"
)

// Many silent connections are one call, and those that follow are one a minute
// later; few are none, and there is none behind the end.
func TestRested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rested
		var calls []time.Duration
		begin := time.Now()
		r.mu.f = func() { calls = append(calls, time.Since(begin)) }
		rest := func(n int) {
			for range n {
				r.add()
			}
		}
		rest(restedMany - 1)
		time.Sleep(time.Hour)
		begin = time.Now()
		for range 3 { // as long as they go on, nothing
			rest(restedMany)
			time.Sleep(restedSettle - 1)
		}
		time.Sleep(3 * restedSettle)
		rest(restedMany)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(calls) != 2 || calls[0] < 3*restedSettle || calls[0] > 5*restedSettle || calls[1] != calls[0]+restedEvery {
			t.Errorf("called at %v", calls)
		}
		rest(restedMany)
		r.end()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(calls) != 2 {
			t.Error("called behind the end")
		}
	})
}

// Those that never cease to fall silent do not keep the call away.
func TestRested_whileTheyGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rested
		calls := 0
		r.mu.f = func() { calls++ }
		const most = 10
		for range most * int(2*restedEvery/(restedSettle/2)) {
			for range restedMany {
				r.add()
			}
			time.Sleep(restedSettle / 2)
		}
		r.end()
		if calls < most-1 || calls > 2*most {
			t.Errorf("%d calls in %v", calls, most*2*restedEvery)
		}
	})
}
