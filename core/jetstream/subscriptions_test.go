package jetstream

import (
	"errors"
	"testing"
)

// Who attaches twice is there once, and nothing stays of who is detached, be it
// that the second of two subscriptions failed.
func TestSubscriptions_onceOrNotAtAll(t *testing.T) {
	var s subscriptions
	open, calls := 0, 0
	failed := errors.New("failed")
	subscribe := func(n int, err error) func() ([]func(), error) {
		return func() (undo []func(), _ error) {
			calls++
			for range n {
				open++
				undo = append(undo, func() { open-- })
			}
			return undo, err
		}
	}
	s.detach()
	for _, err := range []error{nil, failed} {
		open, calls = 0, 0
		if got := s.attach(subscribe(2, err)); got != err {
			t.Errorf("the error is %v, want %v", got, err)
		}
		if err := s.attach(subscribe(2, nil)); err != nil || open != 2 || calls != 1 {
			t.Errorf("attached twice: %d are open, after %d calls, error %v", open, calls, err)
		}
		s.detach()
		s.detach()
		if open != 0 {
			t.Errorf("%d stay", open)
		}
	}
	// Nothing to subscribe to is nothing: the next time is asked again.
	calls = 0
	for range 2 {
		if err := s.attach(subscribe(0, nil)); err != nil {
			t.Error(err)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}
