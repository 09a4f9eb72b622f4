package account

import "github.com/frondmq/frond/core/wire"

// Crossing is the sink of a subscription that stands for another account: what is
// published on its subject is routed there too, as part of the same routing. It is
// how an account imports what another one offers. Interest in it is interest like
// any other: links hear of it. Queue groups have no crossings.
//
// The other account counts what crosses as published by it. Its mappings are not
// asked: Subject says what the subject is called there. What another account lets this
// one hear is not heard by those that this one lets hear: a message takes one crossing
// without a passage.
type Crossing struct {
	To *Account
	// Subject gives a literal subject its name in the other account, always the
	// same one; nil leaves it. It is asked once for what a publisher remembers.
	Subject func(subj string) string
	by      passage // nil: the message crosses as it is
}

// maxCrossings is how many accounts one message may cross into in a row. More are
// a circle.
const maxCrossings = 8

// Role is part of Sink.
func (*Crossing) Role() Role { return RoleInternal }

// Cluster is part of Sink.
func (*Crossing) Cluster() string { return "" }

// Deliver is part of Sink; routing does not call it.
func (*Crossing) Deliver(*Sub, *wire.Msg) bool { return false }

// Flush is part of Sink.
func (*Crossing) Flush() {}

func crossing(s *Sub) *Crossing {
	c, _ := s.Sink.(*Crossing)
	return c
}

func (c *Crossing) target(subj []byte) target {
	t := target{to: c.To, by: c.by}
	if c.Subject != nil {
		t.subject = []byte(c.Subject(string(subj)))
	}
	return t
}

// cross routes m in the accounts that p leads to. The plan is in use meanwhile: a
// message that comes back to the account gets another one.
func (o *Origin) cross(at *side, p *plan, m *wire.Msg) int {
	if o.depth == maxCrossings {
		return 0
	}
	if o.depth == 0 {
		o.asker = at.account
	}
	o.depth++
	heard := o.heard
	busy := at.busy
	at.busy = true
	n := 0
	subj, reply, header, queues := m.Subject, m.Reply, m.Header, m.Queues
	targets := p.targets
	for i := range targets {
		t := &targets[i]
		if t.by == nil && heard {
			continue
		}
		if t.side == nil || t.side.account != t.to {
			if t.side = &o.home; t.side.account != t.to {
				t.side = o.side(t.to)
			}
		}
		m.Subject, m.Reply, m.Header = subj, reply, header
		m.Queues = nil // whoever chose groups did not know of these
		if t.subject != nil {
			m.Subject = t.subject
		}
		if t.by == nil {
			o.heard = true
			n += o.route(t.side, m, true)
			o.heard = heard
			continue
		}
		q := o.onWay.take()
		if t.by.enter(o, m, q) {
			taken := o.route(t.side, m, true)
			t.by.left(q, taken)
			n += taken
		}
		o.onWay.give(q)
	}
	m.Subject, m.Reply, m.Header, m.Queues = subj, reply, header, queues
	at.busy = busy
	o.depth--
	return n
}
