package jetstream

import (
	"testing"
	"time"
)

// The first is told whatever the clock says, and then one in a minute.
func TestMinutely(t *testing.T) {
	const minute = int64(time.Minute)
	for _, first := range []int64{0, 1, minute / 2, in2026.UnixNano()} {
		var m minutely
		for i, x := range []struct {
			after int64
			due   bool
		}{{0, true}, {1, false}, {minute - 1, false}, {minute + 1, true}, {minute + 2, false}, {2*minute + 1, true}} {
			if got := m.due(first + x.after); got != x.due {
				t.Errorf("from %d on, %d: %v, want %v", first, i, got, x.due)
			}
		}
	}
}
