package leaf

import (
	"strings"
	"sync"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
)

// interest is what one link has announced to its peer: plain interest once,
// however many subscriptions stand behind it, queue groups with the number of
// their members.
//
// It watches the account. Events come one at a time with the account locked,
// so nothing here may call back into the account.
type interest struct {
	link *link

	mu struct {
		sync.Mutex
		announced map[interestKey]int // subscriptions, or members of a group
		weights   map[*account.Sub]int
		// held are subscriptions to what comes from a domain that the link does
		// not lead to, as far as is known; open are those that it leads to, and
		// all is true when it may lead anywhere.
		held map[string]map[*account.Sub]bool
		open map[string]bool
		all  bool
		// silent is true until the first list was sent: a group with many
		// members is then one line, not many.
		silent bool
	}
}

type interestKey struct{ subject, queue string }

func newInterest(l *link) *interest {
	i := &interest{link: l}
	i.mu.announced = make(map[interestKey]int)
	i.mu.weights = make(map[*account.Sub]int)
	i.mu.held = make(map[string]map[*account.Sub]bool)
	i.mu.open = make(map[string]bool)
	i.mu.silent = true
	return i
}

// Interest is called by the account.
func (i *interest) Interest(e account.Event) {
	if !i.concerns(e.Sub) {
		return
	}
	if e.Delta > 0 && i.link.dialed && i.link.role == account.RoleHub && captures(e.Sub) {
		i.link.remote.tellCapture(e.Sub.Subject)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if d := e.Sub.Domain; d != "" && !i.mu.all && !i.mu.open[d] {
		i.holdLocked(d, e)
		return
	}
	i.announceLocked(e)
}

func (i *interest) holdLocked(domain string, e account.Event) {
	switch {
	case e.Delta < 0:
		delete(i.mu.held[domain], e.Sub)
		if len(i.mu.held[domain]) == 0 {
			delete(i.mu.held, domain)
		}
	case i.mu.held[domain] == nil:
		i.mu.held[domain] = map[*account.Sub]bool{e.Sub: true}
	default:
		i.mu.held[domain][e.Sub] = true
	}
}

// leads is told what the peer wants, before the account is: with the API of a
// domain the link leads there, and the peer has to know who waits for what
// comes from there before it is asked anything. So of the hundreds of sources
// that a hub may have each edge hears of its own.
func (i *interest) leads(subj string) {
	rest, ok := strings.CutPrefix(subj, "$JS.")
	if !ok && subj != ">" && !strings.HasPrefix(subj, "*.") {
		return
	}
	d, _, _ := strings.Cut(rest, ".")
	i.mu.Lock()
	defer i.mu.Unlock()
	if all := !ok || d == "*" || d == ">"; all {
		i.mu.all = true
		for d := range i.mu.held {
			i.releaseLocked(d)
		}
		return
	}
	i.mu.open[d] = true
	i.releaseLocked(d)
}

func (i *interest) releaseLocked(domain string) {
	for s := range i.mu.held[domain] {
		i.announceLocked(account.Event{Sub: s, Delta: 1})
	}
	delete(i.mu.held, domain)
}

func (i *interest) announceLocked(e account.Event) {
	key := interestKey{e.Sub.Subject, e.Sub.Queue}
	before := i.mu.announced[key]
	after := before + i.changeLocked(e)
	if after <= 0 {
		delete(i.mu.announced, key)
	} else {
		i.mu.announced[key] = after
	}
	if i.mu.silent || before == after {
		return
	}
	switch {
	case after <= 0:
		i.link.queueLine(func(b []byte) []byte { return wire.AppendLeafUnsub(b, key.subject, key.queue) })
	case before == 0 || key.queue != "":
		i.link.queueLine(func(b []byte) []byte { return wire.AppendLeafSub(b, key.subject, key.queue, after) })
	}
}

// captures reports whether a subscription is that of a stream that stores what
// is published there: the server itself wants nothing else of other people's
// subjects.
func captures(s *account.Sub) bool {
	return s.Sink.Role() == account.RoleInternal && s.Queue == "" && s.Subject[0] != '$' && s.Subject[0] != '_'
}

// changeLocked is by how much the announced number changes.
func (i *interest) changeLocked(e account.Event) int {
	if e.Sub.Queue == "" {
		return int(e.Delta) // a plain subscription has no weight
	}
	was := i.mu.weights[e.Sub]
	now := 0
	if e.Delta >= 0 {
		now = e.Sub.Members()
		i.mu.weights[e.Sub] = now
	} else {
		delete(i.mu.weights, e.Sub)
	}
	return now - was
}

// concerns reports whether the peer may hear of a subscription.
func (i *interest) concerns(s *account.Sub) bool {
	l := i.link
	sink := s.Sink
	if sink == account.Sink(l) || !account.Announces(l.role, sink.Role()) {
		return false
	}
	if sink.Role().IsLink() {
		if account.SameCluster(sink.Cluster(), l) {
			return false
		}
		if l.isolated && (sink.Role() == account.RoleSpoke || sink.Role() == account.RoleHub) {
			return false
		}
	}
	return l.rules.announces(s.Subject) && (l.bounds.line == 0 || len(s.Subject)+len(s.Queue)+lineRest <= l.bounds.line)
}

// announceAll sends the first list and makes later changes heard.
func (i *interest) announceAll(mappings []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range mappings {
		// A mapped subject is wanted whether or not anybody listens behind it.
		if i.link.rules.announces(m) {
			i.mu.announced[interestKey{subject: m}]++
		}
	}
	i.mu.silent = false
	for key, n := range i.mu.announced {
		i.link.queueLine(func(b []byte) []byte { return wire.AppendLeafSub(b, key.subject, key.queue, n) })
	}
}
