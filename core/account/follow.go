package account

import (
	"bytes"

	"github.com/frondmq/frond/core/wire"
)

// Follower has something to do with messages that came in by a link that may not be
// done while they are routed, such as publishing them elsewhere.
type Follower interface {
	// Follow is called behind the routing of a message, on the goroutine of o, which
	// routed it. subject is the one that it was delivered under. All is borrowed.
	Follow(o *Origin, m *wire.Msg, subject []byte)
}

type following struct {
	by      Follower
	subject []byte
}

// Follow has by called behind the routing of m, once for each subject, however many
// sinks of its ask for that. It is for Deliver of a sink. It reports false, and does
// nothing, when m did not come in by a link.
func Follow(m *wire.Msg, by Follower) bool {
	o, ok := m.Via.(*Origin)
	if !ok {
		return false
	}
	for i := range o.following {
		if f := &o.following[i]; f.by == by && bytes.Equal(f.subject, m.Subject) {
			return true
		}
	}
	o.following = append(o.following, following{by, bytes.Clone(m.Subject)})
	return true
}

// follow calls who follows m. What they publish is of this server, and followed by
// nobody (wire.Msg.Here).
func (o *Origin) follow(m *wire.Msg) {
	for _, f := range o.following {
		f.by.Follow(o, m, f.subject)
	}
	clear(o.following)
	o.following = o.following[:0]
}
