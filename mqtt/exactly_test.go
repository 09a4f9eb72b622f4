package mqtt

import (
	"bytes"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Who sends PUBREL on and on, while the row of its session can't be stored, is ended
// before that takes much memory.
func TestExactly_owedIsBounded(t *testing.T) {
	s := startStory(t)
	s.run(`dev connect v5 keep expiry=60`)
	k, c := s.kept("dev"), s.clients["dev"]
	k.mu.Lock()
	k.mu.paying = true // and nobody does
	k.mu.Unlock()
	c.send(bytes.Repeat(appendAck(nil, packets.Pubrel, v5, 1, 0), maxOwed))
	c.fence()
	k.mu.Lock()
	if n := len(k.mu.owed); n != maxOwed {
		t.Errorf("%d are owed", n)
	}
	k.mu.Unlock()
	c.send(appendAck(nil, packets.Pubrel, v5, 1, 0))
	c.expectEnd(packets.ErrReceiveMaximum.Code)
}
