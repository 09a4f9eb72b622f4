package core_test

import (
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
)

// A moment that was kept as a number has a monotonic reading: what is computed
// with it does not depend on what is done to the wall clock meanwhile.
func TestTicks_areMonotonic(t *testing.T) {
	now := time.Now()
	n := core.Ticks(now)
	if n <= 0 {
		t.Errorf("now is %d", n)
	}
	back := core.Moment(n)
	if d := back.Sub(now); d != 0 {
		t.Errorf("it comes back %v later", d)
	}
	if !strings.Contains(back.String(), " m=") {
		t.Errorf("%v has no monotonic reading", back)
	}
	if d := back.Round(0).Sub(now.Round(0)); d.Abs() > time.Second {
		t.Errorf("it is shown %v off", d)
	}
}
