package subject

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"
)

// Rules say which subjects may be used. Entries may have wildcards; entries
// for subscribing may be "subject queue", and the queue may have wildcards too.
type Rules struct {
	// Allow empty allows everything, as in the stock server.
	Allow []string
	Deny  []string
}

// Responses is the right to answer requests: a subject that came as the reply
// of a delivered message may be published to, whatever the rules say.
type Responses struct {
	// Max is how often each may be published to; 0 means once, a negative
	// number means any number of times.
	Max int
	// Expires is for how long; 0 means two minutes, negative means for ever.
	Expires time.Duration
}

// Permissions are what one user may do. They never change once made, can be
// shared by all connections of the user, and are safe for concurrent use.
// The rules are those of the NATS documentation, "Authorization".
type Permissions struct {
	pub, sub           side
	pubRules, subRules *Rules
	responses          *Responses
}

// NewPermissions checks and compiles rules. Nil rules allow everything; resp is
// nil when answering is not allowed in general. With resp and without an allow
// list for publishing, nothing else may be published.
func NewPermissions(pub, sub *Rules, resp *Responses) (*Permissions, error) {
	p := &Permissions{subRules: sub.clone(), pubRules: pub.clone()}
	if resp != nil {
		r := *resp
		if r.Max == 0 {
			r.Max = 1
		}
		if r.Expires == 0 {
			r.Expires = 2 * time.Minute
		}
		p.responses = &r
	}
	if err := p.pub.compile(p.pubRules, false, resp != nil); err != nil {
		return nil, fmt.Errorf("publish permission %w", err)
	}
	if err := p.sub.compile(p.subRules, true, false); err != nil {
		return nil, fmt.Errorf("subscribe permission %w", err)
	}
	return p, nil
}

// PubRules are the rules for publishing, nil for none. Not to be changed. With
// Responses and an empty allow list, nothing but answers may be published.
func (p *Permissions) PubRules() *Rules { return p.pubRules }

// SubRules are the rules for subscribing, nil for none. Not to be changed.
func (p *Permissions) SubRules() *Rules { return p.subRules }

// Responses is the right to answer, with its defaults filled in, or nil. It
// must be asked for with a ResponseTracker of the connection when CanPublish
// says no.
func (p *Permissions) Responses() *Responses { return p.responses }

// CanPublish reports whether the rules let a message be published to subject.
func (p *Permissions) CanPublish(subject []byte) bool { return p.pub.literal(subject) }

// CanReceive reports whether the rules for subscribing let subject through.
// Links ask it for each message: what they announce is often wider than what
// they may have.
func (p *Permissions) CanReceive(subject []byte) bool { return p.sub.literal(subject) }

// MayAnnouncePub reports whether some subject of pattern may be published: a
// literal must be allowed, a wildcard pattern only needs to share a subject
// with the rules. Links ask it before they announce interest.
func (p *Permissions) MayAnnouncePub(pattern string) bool { return p.pub.overlaps(pattern) }

// MayAnnounceSub is MayAnnouncePub for the rules for subscribing.
func (p *Permissions) MayAnnounceSub(pattern string) bool { return p.sub.overlaps(pattern) }

// CanSubscribe reports whether pattern may be subscribed to, with queue "" for
// a plain subscription.
func (p *Permissions) CanSubscribe(pattern, queue string) bool {
	return p.sub.subscribe(pattern, queue)
}

// NeedsFilter reports whether deliveries to a subscription on pattern must be
// checked with DeniesDelivery one by one: it is wider than a deny entry.
func (p *Permissions) NeedsFilter(pattern string) bool {
	if IsLiteral(pattern) {
		return false
	}
	for i := range p.sub.deny {
		if e := &p.sub.deny[i]; e.queue == "" && Collide(e.subject, pattern) {
			return true
		}
	}
	return false
}

// DeniesDelivery reports whether subject is denied to subscriptions that are
// wider than the deny entry.
func (p *Permissions) DeniesDelivery(subject []byte) bool {
	return len(p.sub.deny) > 0 && !p.sub.denials.get(&p.sub, subject)
}

func (r *Rules) clone() *Rules {
	if r == nil {
		return nil
	}
	return &Rules{Allow: slices.Clone(r.Allow), Deny: slices.Clone(r.Deny)}
}

// side is one direction, compiled.
type side struct {
	all      bool // no allow list
	allow    []entry
	deny     []entry
	verdicts verdicts // for allow and deny together
	denials  verdicts // for deny alone
}

type entry struct{ subject, queue string }

// compile makes a side of r. With closed, an empty allow list allows nothing.
func (s *side) compile(r *Rules, queues, closed bool) error {
	if r == nil {
		r = new(Rules)
	}
	s.all = len(r.Allow) == 0 && !closed
	if s.all && len(r.Deny) == 0 {
		return nil
	}
	s.verdicts.init((*side).allows, len(r.Allow)+len(r.Deny))
	s.denials.init((*side).doesNotDeny, len(r.Deny))
	var err error
	if s.allow, err = compileEntries(r.Allow, queues); err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	if s.deny, err = compileEntries(r.Deny, queues); err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	return nil
}

func compileEntries(texts []string, queues bool) ([]entry, error) {
	var list []entry
	for _, text := range texts {
		e := entry{subject: text}
		if queues {
			e.subject, e.queue = splitQueue(text)
		}
		if !ValidPattern(e.subject) || e.queue != "" && !ValidPattern(e.queue) {
			return nil, fmt.Errorf("%q is not a valid subject", text)
		}
		list = append(list, e)
	}
	return list, nil
}

func (s *side) literal(subject []byte) bool {
	if s.all && len(s.deny) == 0 {
		return true
	}
	return s.verdicts.get(s, subject)
}

func (s *side) allows(subject []byte) bool {
	if !s.doesNotDeny(subject) {
		return false
	}
	if s.all {
		return true
	}
	for i := range s.allow {
		if s.allow[i].queue == "" && Match(s.allow[i].subject, subject) {
			return true
		}
	}
	return false
}

func (s *side) doesNotDeny(subject []byte) bool {
	for i := range s.deny {
		if s.deny[i].queue == "" && Match(s.deny[i].subject, subject) {
			return false
		}
	}
	return true
}

func (s *side) overlaps(pattern string) bool {
	if IsLiteral(pattern) {
		return s.allows([]byte(pattern))
	}
	for i := range s.deny {
		if e := &s.deny[i]; e.queue == "" && Covers(e.subject, pattern) {
			return false
		}
	}
	if s.all {
		return true
	}
	for i := range s.allow {
		if e := &s.allow[i]; e.queue == "" && Collide(e.subject, pattern) {
			return true
		}
	}
	return false
}

func (s *side) subscribe(pattern, queue string) bool {
	for i := range s.deny {
		e := &s.deny[i]
		if Covers(e.subject, pattern) && (e.queue == "" || queue != "" && Match(e.queue, queue)) {
			return false
		}
	}
	if s.all {
		return true
	}
	// An entry that names a queue for this subject speaks for all queues: with
	// "foo" and "foo v1" allowed, a queue subscription must be v1.
	plain, named, fits := false, false, false
	for i := range s.allow {
		e := &s.allow[i]
		if !Covers(e.subject, pattern) {
			continue
		}
		if e.queue == "" {
			plain = true
			continue
		}
		named = true
		fits = fits || queue != "" && Match(e.queue, queue)
	}
	if queue != "" && named {
		return fits
	}
	return plain
}

// verdicts remembers answers about literals. The table is of atomic pointers
// with one place for each hash, so it is bounded and needs no lock. One or two
// rules are asked every time: devices have no more, publish to ever new subjects,
// and there are thousands of them.
type verdicts struct {
	seed  maphash.Seed
	ask   func(s *side, subject []byte) bool
	table *[verdictSize]atomic.Pointer[verdict] // nil: always ask
}

type verdict struct {
	subject string
	yes     bool
}

const (
	verdictSize = 128 // a power of two
	fewRules    = 2
)

func (v *verdicts) init(ask func(*side, []byte) bool, rules int) {
	v.ask = ask
	if rules > fewRules {
		v.seed = maphash.MakeSeed()
		v.table = new([verdictSize]atomic.Pointer[verdict])
	}
}

func (v *verdicts) get(s *side, subject []byte) bool {
	if v.table == nil {
		return v.ask(s, subject)
	}
	slot := &v.table[maphash.Bytes(v.seed, subject)&(verdictSize-1)]
	if e := slot.Load(); e != nil && e.subject == string(subject) {
		return e.yes
	}
	yes := v.ask(s, subject)
	if len(subject) <= cacheSubject {
		slot.Store(&verdict{string(subject), yes})
	}
	return yes
}
