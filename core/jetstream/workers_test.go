package jetstream

import "testing"

// A queue that is never empty keeps only what is in it.
func TestWorkers_queueStaysSmallUnderLoad(t *testing.T) {
	w := newWorkers()
	for range 4 {
		w.push(new(member))
	}
	for range 10000 {
		w.push(w.pop())
	}
	if n := cap(w.mu.queue); n > 64 {
		t.Errorf("room for %d consumers, 4 are in it", n)
	}
}
