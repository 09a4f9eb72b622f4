package testkit

import (
	"testing"
	"time"
)

// patience is how long a test waits on a machine that is busy with others. A
// test that passes never waits so long.
const patience = 30 * time.Second

// Eventually waits until ok holds, looking again every 2 ms, and ends the test
// when it never does. It is called by the goroutine of the test.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !Within(patience, ok) {
		t.Fatalf("never happened: %s", what)
	}
}

// Within reports whether ok holds before the time is up. It looks at least
// once, and once more at the end.
func Within(limit time.Duration, ok func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			return ok()
		}
	}
	return true
}
