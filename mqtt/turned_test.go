package mqtt

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever comes from very many addresses does not make a machine new again that
// is in a tight loop.
func TestTurned_remembersWhoTriesMost(t *testing.T) {
	var turned turned
	now := time.Now()
	try := func(address string) time.Duration {
		now = now.Add(time.Millisecond)
		d, ok := turned.begin(address, now)
		if !ok {
			t.Fatalf("%s is not answered", address)
		}
		turned.leave()
		return d
	}
	var held time.Duration
	for range 8 {
		held = try("loop")
	}
	for i := range 3 * maxTurned {
		try(fmt.Sprint("other ", i))
	}
	if d := try("loop"); d <= held {
		t.Errorf("held for %v after %v", d, held)
	}
	if n := len(turned.mu.by); n > maxTurned {
		t.Errorf("%d addresses are remembered", n)
	}
	now = now.Add(forgetTries + time.Second)
	if d := try("loop"); d != 0 {
		t.Errorf("held for %v after a long quiet", d)
	}
}

// TestConn_flapping has two devices wait that take one client identifier from each
// other.
func TestConn_flapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		begin := time.Now()
		for range 1 + freeTries {
			b.pipeConnected(v5, "c", nil)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("held up by %v", d)
		}
		b.pipeConnected(v5, "c", nil)
		b.pipeConnected(v5, "c", nil)
		if d := time.Since(begin); d != 3*firstHold {
			t.Errorf("%v, want %v", d, 3*firstHold)
		}
		b.stop()
	})
}
