package account

import (
	"bytes"

	"github.com/frondmq/frond/core/wire"
)

// Route delivers m to everyone who shall have it and returns how many sinks
// took it; 0 means that there are no responders. m is given back as it came.
// Nothing is written out before o.Flush.
func (a *Account) Route(o *Origin, m *wire.Msg) int {
	at := &o.home
	if at.account != a {
		at = o.side(a)
	}
	published := m.Subject
	anyQueue := !o.role.IsLink()
	if !anyQueue && !m.Here {
		m.Via = o
	}
	if set := a.mappings.Load(); set != nil && o.role.mapped() {
		s, changed := o.mapSubject(at, set, published)
		if s == nil {
			at.count(m, 0)
			m.Via = nil
			return 0
		}
		m.Subject = s
		// A peer chose queue groups for the subject that it knew. For another
		// subject the choice is made here.
		anyQueue = anyQueue || changed && m.Queues == nil
	}
	n := o.route(at, m, anyQueue)
	m.Subject, m.Via = published, nil
	if len(o.following) > 0 && !m.Here {
		o.follow(m)
	}
	return n
}

// route delivers m in one account, whose mappings it is behind.
func (o *Origin) route(at *side, m *wire.Msg, anyQueue bool) int {
	p := o.plan(at, m.Subject)
	n := 0
	if len(p.plain) > 0 {
		n = o.routePlain(p, m)
	}
	if len(p.groups) > 0 {
		n += o.routeGroups(p, m, anyQueue)
	}
	if len(p.links) > 0 {
		n += o.routeLinks(p, m)
	}
	at.count(m, n)
	if len(p.targets) > 0 {
		n += o.cross(at, p, m)
	}
	return n
}

func (o *Origin) routePlain(p *plan, m *wire.Msg) int {
	n := 0
	for _, s := range p.plain {
		if s.Sink.Deliver(s, m) {
			n++
		}
	}
	if p.epoch != o.epoch {
		p.epoch = o.epoch
		for _, s := range p.plain {
			o.touch(s.Sink)
		}
	}
	return n
}

func (o *Origin) routeGroups(p *plan, m *wire.Msg, anyQueue bool) int {
	n := 0
	for i := range p.groups {
		g := &p.groups[i]
		if !anyQueue && !listed(m.Queues, g.name) {
			continue
		}
		for t := range g.tiers {
			if len(g.tiers[t]) == 0 {
				continue
			}
			taken, local := o.routeGroup(p, g, g.tiers[t], m)
			if local {
				n++
			}
			if taken {
				break
			}
		}
	}
	return n
}

// routeGroup gives m to one of ms, tried in a circle from a random start that
// counts each member as often as it stands for members. Links are only chosen
// here and are sent to later, once.
func (o *Origin) routeGroup(p *plan, g *group, ms []member, m *wire.Msg) (taken, local bool) {
	at := o.start(ms)
	for range ms {
		c := &ms[at]
		if c.link >= 0 {
			l := &p.links[c.link]
			l.queues = append(l.queues, g.name)
			return true, false
		}
		if c.sub.Sink.Deliver(c.sub, m) {
			o.touch(c.sub.Sink)
			return true, true
		}
		if at++; at == len(ms) {
			at = 0
		}
	}
	return false, false
}

func (o *Origin) start(ms []member) int {
	if len(ms) == 1 {
		return 0
	}
	total := 0
	for i := range ms {
		total += ms[i].sub.Members()
	}
	r := o.random(total)
	for i := range ms {
		if r -= ms[i].sub.Members(); r < 0 {
			return i
		}
	}
	return len(ms) - 1 // a weight shrank meanwhile
}

func (o *Origin) routeLinks(p *plan, m *wire.Msg) int {
	n := 0
	listed := m.Queues
	for i := range p.links {
		l := &p.links[i]
		if !l.plain && len(l.queues) == 0 {
			continue
		}
		if m.Here {
			l.queues = l.queues[:0]
			continue
		}
		m.Queues = nil
		if len(l.queues) > 0 {
			m.Queues = l.queues
		}
		if l.sub.Sink.Deliver(l.sub, m) {
			n++
		}
		l.queues = l.queues[:0]
		o.touch(l.sub.Sink)
	}
	m.Queues = listed
	return n
}

func listed(queues [][]byte, name []byte) bool {
	for _, q := range queues {
		if bytes.Equal(q, name) {
			return true
		}
	}
	return false
}
