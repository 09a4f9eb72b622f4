package session

import (
	"slices"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
)

// What comes by a link was published elsewhere, and nobody waits here for its
// acknowledgement: it is stored behind its routing, by the link's reader, which a busy
// disk holds up as it does for any stream. Nobody can be refused. A session that is
// full goes without, and so do all when the stream does not take it: that is counted
// and logged (Options.Lost).

// elsewhere stands for the hash of a publisher behind a link; no hash is like it.
const elsewhere = "-"

// keptFromLink reports whether a message that came by a link is one that is kept: an
// MQTT client has published it with QoS 1 or 2.
func keptFromLink(m *wire.Msg) bool {
	return m.Via != nil && PublishedQoS(m.Header) > 0
}

// ComesBySession reports whether a message is kept for each session with a filter that
// takes it, so that its connection needs no other one.
func ComesBySession(m *wire.Msg) bool {
	if _, ok := m.Receipt.(Keeping); ok {
		return true
	}
	return keptFromLink(m)
}

// Follow is part of account.Follower: it has a message kept that came by a link.
func (s *Store) Follow(o *account.Origin, m *wire.Msg, subject []byte) {
	p := Publication{Subject: subject, Header: s.o.Stored(m.Header, elsewhere), Body: m.Body, Publisher: elsewhere, linked: true}
	s.Put(o, &p, linkReceipt{s, string(subject)})
}

// linkReceipt is the receipt of a message that came by a link.
type linkReceipt struct {
	s       *Store
	subject string
}

func (linkReceipt) Expect() {}

func (r linkReceipt) Stored(_ string, _ uint64, _ bool, err error) {
	if err != nil {
		r.s.o.Lost([]byte(r.subject), err)
	}
}

// gap is what a session was too full for.
type gap struct{ first, last uint64 }

// skipLocked has the session go without a message. before is the one that was told to
// it last. (A start forgets that: then it gets what others still wait for.)
func (x *Session) skipLocked(seq, before uint64) {
	s := x.store
	gaps := slices.DeleteFunc(s.mu.without[x], func(g gap) bool { return g.last <= x.position })
	if n := len(gaps); n > 0 && gaps[n-1].last == before {
		gaps[n-1].last = seq
	} else {
		gaps = append(gaps, gap{seq, seq})
	}
	if s.mu.without == nil {
		s.mu.without = make(map[*Session][]gap)
	}
	s.mu.without[x] = gaps
}

func (s *Store) skipsLocked(x *Session, seq uint64) bool {
	if len(s.mu.without) == 0 {
		return false
	}
	return slices.ContainsFunc(s.mu.without[x], func(g gap) bool { return g.first <= seq && seq <= g.last })
}
