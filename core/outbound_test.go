package core

import (
	"testing"
	"time"
)

// A wake-up that finds nothing must go on waiting: if take returned, the writer
// would free the socket that someone else is writing to.
func TestOutbound_emptyWakeUp(t *testing.T) {
	ours, _ := tcpPair(t)
	out := newOutbound(ours, &chunks{}, 1<<20, time.Minute, false)
	out.mu.Lock()
	out.mu.flush = true // asked for, but taken by writeNow meanwhile
	out.mu.Unlock()
	got := make(chan int, 1)
	go func() {
		out.take()
		out.mu.Lock()
		got <- len(out.spare)
		out.mu.Unlock()
	}()
	seen := false
	for !seen { // until take has looked once
		out.mu.Lock()
		seen = !out.mu.flush
		out.mu.Unlock()
	}
	out.append("x")
	out.wakeWriter()
	if n := <-got; n != 1 {
		t.Errorf("take returned with %d chunks", n)
	}
}
