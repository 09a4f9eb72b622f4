package jetstream

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// setClock is a clock that can be set: the monotonic one goes on by itself.
type setClock struct {
	mu   sync.Mutex
	mono time.Time // as time.Now gives it
	step time.Duration
}

// now has no monotonic reading: wall and monotonic clock differ by what the
// wall clock was set by, as they do for the engine.
func (c *setClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mono.Add(c.step)
}

func (c *setClock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono = c.mono.Add(d)
}

func (c *setClock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step += d
}

// Messages that were stored while the clock said 1970 do not expire when it is
// set, over restarts too; they do after their age from then on.
func TestClockStep_whatWasStoredIn1970Lives(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := &setClock{mono: time.Unix(1000, 0)}
		x := newBox(t)
		x.change = func(cfg *Config) {
			cfg.Now = c.now
			cfg.ClockSynced = func() bool { return c.now().Year() > 2020 }
		}
		x.start()
		mustStream(t, x.b, `{"name":"S","subjects":["s"],"max_age":3600000000000}`)
		for i := range 3 {
			x.put("S", "s", fmt.Sprint(i))
		}
		if restart {
			if err := x.e.drain.drain(); err != nil {
				t.Fatal(err)
			}
			x.kill()
		}
		c.set(56 * 365 * 24 * time.Hour)
		if restart {
			x.start()
		}
		s := x.e.account("A").stream("S")
		eventually(t, func() bool {
			x.e.expire(c.now())
			s.mu.RLock()
			defer s.mu.RUnlock()
			return len(s.clock.steps) == 1 && !s.clock.unset
		})
		x.put("S", "s", "by the right clock")
		c.forward(59 * time.Minute)
		x.e.expire(c.now())
		x.b.publish(t, "s", "applied behind it")
		if got := sequences(x.e, "S"); len(got) != 5 {
			t.Errorf("restart %v: left are %v", restart, got)
		}
		x.kill()
		x.start()
		x.e.expire(c.now())
		x.b.publish(t, "s", "applied behind it")
		if got := sequences(x.e, "S"); len(got) != 6 {
			t.Errorf("restart %v: after another restart left are %v", restart, got)
		}
		c.forward(2 * time.Minute)
		eventually(t, func() bool {
			x.e.expire(c.now())
			return fmt.Sprint(sequences(x.e, "S")) == "[5 6]"
		})
		x.stop()
	}
}
