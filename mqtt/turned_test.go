package mqtt

import (
	"fmt"
	"testing"
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
