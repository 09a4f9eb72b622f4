package jetstream

import (
	"sync/atomic"
	"time"
)

// minutely has something told once a minute that goes wrong again and again. The
// zero value has told nothing.
type minutely struct{ said atomic.Int64 } // by the clock of timers

// due reports whether it is to be told now, which then counts as told. The clock
// of timers may be near 0: a machine that starts in 1970 is not silent for that.
func (m *minutely) due(now int64) bool {
	if now == 0 {
		now = 1 // 0 is never
	}
	was := m.said.Load()
	return (was == 0 || now-was >= int64(time.Minute)) && m.said.CompareAndSwap(was, now)
}
