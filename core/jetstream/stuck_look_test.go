package jetstream

import (
	"errors"
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// That something is not there is believed only if nothing has gone while it was
// looked for: what was looked for may have been stored anew, and the old one is gone.
func TestGet_whatIsStoredAnewWhileItIsLookedFor(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, `{"name":"S","subjects":["s.>"],"storage":"memory"}`)
	b.publish(t, "s.a", "")
	b.publish(t, "s.b", "")
	s := e.account("A").stream("S")
	looks := 0
	err := s.lookFor(func(st edgestore.Reads) error {
		switch looks++; looks {
		case 2:
			return edgestore.ErrCold
		case 3: // it is stored anew, behind where the look is
			if _, _, err := s.store.Remove(1); err != nil {
				t.Error(err)
			}
		case 4:
			return nil
		}
		return edgestore.ErrNotFound
	})
	if err != nil || looks != 4 {
		t.Errorf("%v after %d looks", err, looks)
	}
	looks = 0
	err = s.lookFor(func(edgestore.Reads) error {
		if looks++; looks%2 == 0 {
			return edgestore.ErrCold
		}
		return edgestore.ErrNotFound
	})
	if !errors.Is(err, edgestore.ErrNotFound) || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
}
