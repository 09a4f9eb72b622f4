package account

import (
	"hash/maphash"
	"slices"

	"github.com/frondmq/frond/core/subject"
)

// plan is the match of one subject, compiled for one Origin: the table of
// roles applied, links gathered. It is owned by that Origin, so it also holds
// the scratch space of routing.
type plan struct {
	name   string // the subject, of one that is remembered
	gen    uint64 // of the index when it was made
	epoch  uint64 // of the Origin when plain was last touched
	plain  []*Sub // local plain subscriptions; may be shared with the index
	links  []linkTarget
	groups []group
	// targets are the accounts that a message crosses into.
	targets []target
	weight  int // in the cache
}

// linkTarget is one link: it gets a message at most once, however many of its
// subscriptions match.
type linkTarget struct {
	sub    *Sub
	plain  bool     // has a plain subscription that matches
	queues [][]byte // groups chosen for it, of the message being routed
}

// target is where a message goes on in another account, and what its subject is
// called there.
type target struct {
	to      *Account
	side    *side
	subject []byte
	by      passage
}

type group struct {
	name  []byte
	tiers [numTiers][]member
}

type member struct {
	sub  *Sub
	link int // index in plan.links, -1 for local subscribers
}

// plan finds the compiled match of a literal subject.
func (o *Origin) plan(s *side, subj []byte) *plan {
	index := s.account.index
	gen := index.Generation()
	if p := s.last; p != nil && p.gen == gen && p.name == string(subj) {
		return p
	}
	p, ok := s.plans[string(subj)]
	if ok && p.gen == gen {
		s.last = p
		return p
	}
	switch {
	case ok:
		o.cached -= p.weight
	case o.cached >= alwaysCached && !s.busy && !o.admits(subj):
		o.compile(&s.once, subj, index.Once(subj, &s.search), gen)
		return &s.once
	default:
		p = &plan{name: string(subj)}
		if o.cached >= maxCached {
			o.forget()
		}
		s.plans[p.name] = p
	}
	// The generation is read before the match: a change in between makes the
	// plan stale, never wrongly fresh.
	o.compile(p, subj, index.Match(subj), gen)
	o.cached += p.weight
	return p
}

// admits tells whether a plan that is missing is to be remembered: if it was
// missing not long ago too, or by chance, so that of many that come back each
// gets in before long. Most acknowledgements and replies to inboxes never come
// back, and cost no place, no string and no other's plan.
func (o *Origin) admits(subj []byte) bool {
	if o.missed == nil {
		o.missed = new(missed)
		o.missed.seed = maphash.MakeSeed()
	}
	h := maphash.Bytes(o.missed.seed, subj)
	mark := &o.missed.marks[h%missedMarks]
	if *mark == uint32(h>>32) {
		return true
	}
	*mark = uint32(h >> 32)
	return o.random(admitOneIn) == 0
}

// missed is which subjects an Origin had no plan for, the latest of those with
// the same place.
type missed struct {
	seed  maphash.Seed
	marks [missedMarks]uint32
}

const (
	missedMarks = 256
	admitOneIn  = 32
)

// forget makes room by dropping a quarter of the plans, whichever come first
// in the map's own order.
func (o *Origin) forget() {
	if o.forgetOf(&o.home) {
		return
	}
	for _, s := range o.far {
		if o.forgetOf(s) {
			return
		}
	}
}

func (o *Origin) forgetOf(s *side) (enough bool) {
	for k, p := range s.plans {
		delete(s.plans, k)
		o.cached -= p.weight
		if o.cached <= maxCached*3/4 {
			return true
		}
	}
	return false
}

func (o *Origin) compile(p *plan, subj []byte, r *subject.Result[*Sub], gen uint64) {
	*p = plan{name: p.name, gen: gen, weight: 1, targets: p.targets[:0]}
	if r == nil {
		return
	}
	if !slices.ContainsFunc(r.Plain, special) {
		p.plain = r.Plain
	} else {
		for _, s := range r.Plain {
			switch {
			case o.tierOf(s.Sink) == never:
			case s.Sink.Role().IsLink():
				p.links[p.link(s)].plain = true
			case crossing(s) != nil:
				p.targets = append(p.targets, crossing(s).target(subj))
			default:
				p.plain = append(p.plain, s)
			}
		}
		p.weight += len(r.Plain)
	}
	for i := range r.Queues {
		o.compileGroup(p, r.Queues[i].Name, r.Queues[i].Members)
	}
}

// special subscriptions need more than that their sink is given the message.
func special(s *Sub) bool { return s.Sink.Role() >= RoleLocal || crossing(s) != nil }

func (o *Origin) compileGroup(p *plan, name string, members []*Sub) {
	g := group{name: []byte(name)}
	some := false
	for _, s := range members {
		t := o.tierOf(s.Sink)
		if t == never {
			continue
		}
		m := member{sub: s, link: -1}
		if s.Sink.Role().IsLink() {
			m.link = p.link(s)
		}
		g.tiers[t-1] = append(g.tiers[t-1], m)
		some = true
	}
	p.weight += 2 + 2*len(members)
	if some {
		p.groups = append(p.groups, g)
	}
}

// link finds or adds the target for the link of s.
func (p *plan) link(s *Sub) int {
	for i := range p.links {
		if p.links[i].sub.Sink == s.Sink {
			return i
		}
	}
	p.links = append(p.links, linkTarget{sub: s})
	return len(p.links) - 1
}
