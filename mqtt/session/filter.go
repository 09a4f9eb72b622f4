package session

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// Filter is a subscription of a kept session. One with QoS 1 is in the interest
// index as long as the session lives, and makes publications be kept.
type Filter struct {
	Text    string
	Options byte // as in a SUBSCRIBE of MQTT 5
	// Identifier is that of the subscription, 0 for none.
	Identifier uint32

	sess *Session
	subs []account.Sub // none with QoS 0
	next *Filter       // of the session
	// It takes what is stored behind after, up to until. Guarded by the lock of the
	// store.
	after, until uint64
}

const open = math.MaxUint64

// filterList are the filters of a session in the order in which they were made. Most
// have one, so it costs as little as that.
type filterList struct{ first *Filter }

// all gives each. Whoever is given one may remove it.
func (l *filterList) all(yield func(*Filter) bool) {
	for f := l.first; f != nil; {
		next := f.next
		if !yield(f) {
			return
		}
		f = next
	}
}

func (l *filterList) list() (list []*Filter) {
	for f := range l.all {
		list = append(list, f)
	}
	return list
}

// place is what points to f, or to the end of the list.
func (l *filterList) place(f *Filter) **Filter {
	p := &l.first
	for *p != nil && *p != f {
		p = &(*p).next
	}
	return p
}

func (l *filterList) add(f *Filter) { *l.place(nil) = f }

func (l *filterList) remove(f *Filter) {
	if p := l.place(f); *p != nil {
		*p, f.next = f.next, nil
	}
}

// SharePrefix is that of shared subscriptions. They are remembered, and hold while
// their client is connected: what comes meanwhile is for others of the group.
const SharePrefix = "$share/"

func (f *Filter) closed() bool  { return f.until != open }
func (f *Filter) noLocal() bool { return f.Options&4 != 0 }

// keeps reports whether messages are kept for it.
func (f *Filter) keeps() bool { return f.Options&3 > 0 && !strings.HasPrefix(f.Text, SharePrefix) }

// prepare makes what the filter subscribes to.
func (f *Filter) prepare() error {
	if !f.keeps() {
		return nil
	}
	subjects, err := f.sess.store.o.Subjects(f.Text)
	f.subs = make([]account.Sub, len(subjects))
	for i, subj := range subjects {
		f.subs[i].Subject, f.subs[i].Sink = subj, f
	}
	return err
}

// enter puts a filter into the interest index.
func (f *Filter) enter() error {
	err := f.prepare()
	for i := range f.subs {
		if err == nil {
			err = f.sess.store.o.Account.Subscribe(&f.subs[i])
		}
	}
	if err != nil {
		f.leave()
	}
	return err
}

func (f *Filter) leave() {
	for i := range f.subs {
		f.sess.store.o.Account.Unsubscribe(&f.subs[i])
	}
}

// Keeping is the receipt of a publication that kept sessions wait for.
type Keeping interface {
	wire.Receipt
	// Keep says, while the message is routed, that a session of the Store waits for
	// it, under that subject, which is borrowed. full is why it can't: then the
	// message is not stored, and the publisher is refused.
	Keep(s *Store, subj []byte, full error)
	// Publisher is the hash of the client identifier of who publishes, and whether
	// the publication has QoS 1 or 2.
	Publisher() (hash string, kept bool)
}

// Role is one that links hear of: what is published behind them is kept too.
func (f *Filter) Role() account.Role { return account.RoleKept }

// Cluster is "": a session is not a server.
func (f *Filter) Cluster() string { return "" }

// Flush is part of account.Sink.
func (f *Filter) Flush() {}

// Deliver has the message kept.
func (f *Filter) Deliver(_ *account.Sub, m *wire.Msg) bool {
	k, ok := m.Receipt.(Keeping)
	if !ok {
		return f.matches(m.Subject) && keptFromLink(m) && account.Follow(m, f.sess.store)
	}
	hash, kept := k.Publisher()
	if !kept || !f.matches(m.Subject) || f.noLocal() && hash == string(f.sess.hash[:]) {
		return false
	}
	x := f.sess
	var full error
	if l := x.store.o.Limits(); x.full(len(m.Header)+len(m.Body), &l) {
		full = &FullError{x.ID}
		x.store.suspect()
	}
	k.Keep(x.store, m.Subject, full)
	return true
}

// matches are the rules beside the subject: wildcards at the beginning do not match
// what begins with '$' [MQTT-4.7.2-1].
func (f *Filter) matches(subj []byte) bool {
	return len(subj) == 0 || subj[0] != '$' || f.Text[0] != '+' && f.Text[0] != '#'
}

// takes reports whether a message that matches the subject of the filter is one for
// it. publisher is the hash of the client identifier. The lock is held.
func (f *Filter) takes(seq uint64, subj []byte, publisher []byte) bool {
	return seq > f.after && seq <= f.until && f.matches(subj) && !(f.noLocal() && bytes.Equal(publisher, f.sess.hash[:])) &&
		!f.sess.store.skipsLocked(f.sess, seq)
}

// Subscribe makes a filter, or changes the options and the identifier of one. The row
// has it when Save has returned.
func (x *Session) Subscribe(text string, options byte, id uint32) (*Filter, error) {
	s := x.store
	f := &Filter{Text: text, Options: options, Identifier: id, sess: x, after: open, until: open}
	s.mu.Lock()
	old := x.filterLocked(text)
	n, size := 0, len(text)
	for o := range x.filters.all {
		n++
		size += len(o.Text)
	}
	if old != nil && old.keeps() == f.keeps() && old.noLocal() == f.noLocal() {
		old.Options, old.Identifier = options, id
		s.mu.Unlock()
		return old, nil
	}
	s.mu.Unlock()
	if n >= MaxFilters || size > MaxFilterBytes {
		return nil, ErrFilters
	}
	if err := f.enter(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	f.after = s.mu.head
	x.filters.add(f)
	s.mu.Unlock()
	if old != nil {
		x.close(old)
	}
	return f, nil
}

// ErrFilters says that a session has as many filters as it may.
var ErrFilters = errors.New("the MQTT session has as many filters as it may")

func (x *Session) filterLocked(text string) *Filter {
	for f := range x.filters.all {
		if f.Text == text && !f.closed() {
			return f
		}
	}
	return nil
}

// Unsubscribe takes a filter away. What it waits for already is delivered.
func (x *Session) Unsubscribe(text string) {
	x.store.mu.Lock()
	f := x.filterLocked(text)
	x.store.mu.Unlock()
	if f != nil {
		x.close(f)
	}
}

func (x *Session) close(f *Filter) {
	s := x.store
	s.mu.Lock()
	f.until = s.mu.head
	if f.keeps() && f.until > max(f.after, x.position) {
		s.mu.closed[f] = true
	} else {
		x.forgetLocked(f)
	}
	s.mu.Unlock()
	f.leave()
}

func (x *Session) forgetLocked(f *Filter) {
	x.filters.remove(f)
	delete(x.store.mu.closed, f)
}

// Filters are those that the client has, by their text, options and identifier.
func (x *Session) Filters() []Filter {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	var all []Filter
	for f := range x.filters.all {
		if !f.closed() {
			all = append(all, Filter{Text: f.Text, Options: f.Options, Identifier: f.Identifier})
		}
	}
	return all
}

// Identifiers are those of the subscriptions that a subject is one of.
func (x *Session) Identifiers(subj string) (ids []uint32) {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	for f := range x.filters.all {
		if f.Identifier > 0 && !f.closed() && f.matches([]byte(subj)) && f.covers([]byte(subj)) {
			ids = append(ids, f.Identifier)
		}
	}
	return ids
}

// Save returns when the row of the session is on disk as it is now.
func (x *Session) Save(ctx context.Context) error { return x.store.rows.save(ctx, x) }

// eachLocked calls f with each filter that takes a message.
func (s *Store) eachLocked(seq uint64, subj, publisher []byte, f func(*Filter)) {
	s.o.Account.EachPlain(subj, func(sub *account.Sub) {
		if x, ok := sub.Sink.(*Filter); ok && x.sess.store == s && x.takes(seq, subj, publisher) {
			f(x)
		}
	})
	for x := range s.mu.closed {
		if x.takes(seq, subj, publisher) && x.covers(subj) {
			f(x)
		}
	}
}

// covers reports whether the subject is one of the filter.
func (f *Filter) covers(subj []byte) bool {
	for i := range f.subs {
		if subject.Match(f.subs[i].Subject, subj) {
			return true
		}
	}
	return false
}

// HeaderPublisher says of a message that is kept who published it: the hash of the
// client identifier.
const HeaderPublisher = "Nmqtt-Publisher"

func publisherOf(header []byte) []byte {
	return wire.HeaderGet(header, HeaderPublisher)
}
