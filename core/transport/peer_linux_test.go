package transport

import (
	"slices"
	"testing"
)

// Who has no number in the user namespace of the server shares one with all
// others who have none, and must not be taken for a user of it.
func TestPeer_nobodyIsNotSomebody(t *testing.T) {
	var p, q Peer
	p.is(Nobody, 1, []uint32{20})
	q.is(7, 1, []uint32{Nobody, 20, Nobody})
	if p.Known || p.UID != 0 && p.Groups != nil {
		t.Errorf("got %+v", p)
	}
	if !q.Known || q.UID != 7 || !slices.Equal(q.Groups, []uint32{20}) {
		t.Errorf("got %+v", q)
	}
}
