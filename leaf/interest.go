package leaf

import (
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
