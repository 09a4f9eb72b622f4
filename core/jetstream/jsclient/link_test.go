package jsclient_test

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

const (
	farAPI  = "$JS.FAR.API."
	homeAPI = "$JS.API."
)

// link is an account on two servers and the link between them, in a few lines. A
// JetStream with the domain FAR is on the far side, clients are on the near one.
type link struct {
	near, far side

	mu sync.Mutex
	up bool
	// lost, if not nil, says whether a message is lost on its way from the far side;
	// called under mu.
	lost    func(m *wire.Msg) bool
	watches []*watch
}

type watch struct{ f func(bool) }

// side is a jetstream.Bus.
type side struct {
	l    *link
	mu   sync.Mutex
	subs []*sub
}

type sub struct {
	pattern, queue string
	h              func(m *wire.Msg)
}

// newLink starts an engine behind a link that is up.
func newLink(t *testing.T) *link {
	t.Helper()
	l := &link{up: true}
	l.near.l, l.far.l = l, l
	e, err := jetstream.New(jetstream.Config{
		Dir: t.TempDir(), Domain: "FAR", ServerName: "far", ServerID: "N", Version: "2.12.0", APILevel: 2, Strict: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.EnableAccount(&l.far); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *link) client() (*jsclient.Client, error) {
	return jsclient.New(&l.near, jsclient.Options{Domain: "FAR"})
}

// set breaks the link or lets it come back.
func (l *link) set(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up != up {
		l.up = up
		for _, w := range l.watches {
			w.f(up)
		}
	}
}

// lose sets lost.
func (l *link) lose(f func(m *wire.Msg) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = f
}

func (s *side) Account() string                { return "A" }
func (s *side) Publisher() jetstream.Publisher { return publisher{s} }
func (s *side) HalfReadAt() time.Time          { return time.Time{} }

func (s *side) SubscribeFrom(_, pattern string, h func(m *wire.Msg)) (func(), error) {
	return s.Subscribe(pattern, "", h)
}

func (s *side) Subscribe(pattern, queue string, h func(m *wire.Msg)) (func(), error) {
	x := &sub{pattern, queue, h}
	s.mu.Lock()
	s.subs = append(s.subs, x)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.subs = slices.DeleteFunc(s.subs, func(y *sub) bool { return x == y })
		s.mu.Unlock()
	}, nil
}

// matching lists who hears a subject; a queue has one member at most here.
func (s *side) matching(subj string) []*sub {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*sub
	for _, x := range s.subs {
		if subject.Match(x.pattern, subj) {
			list = append(list, x)
		}
	}
	return list
}

func (s *side) HasInterest(subj string) bool {
	if len(s.matching(subj)) > 0 {
		return true
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s == &s.l.far && s.l.up && len(s.l.near.matching(subj)) > 0
}

func (s *side) WatchInterest(subj string, f func(bool)) func() {
	if s == &s.l.far {
		f(s.HasInterest(subj)) // nothing here waits for a change
		return func() {}
	}
	w := &watch{f}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.watches = append(s.l.watches, w)
	f(s.l.up)
	return func() {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		s.l.watches = slices.DeleteFunc(s.l.watches, func(x *watch) bool { return x == w })
	}
}

type publisher struct{ s *side }

func (publisher) Flush() {}

func (p publisher) Publish(m *wire.Msg) int {
	l, n := p.s.l, 0
	m.Own = p.s == &l.far
	for _, x := range p.s.matching(string(m.Subject)) {
		x.h(m)
		n++
	}
	l.mu.Lock()
	up := l.up
	if up && m.Own && l.lost != nil && l.lost(m) {
		l.mu.Unlock()
		return n + 1
	}
	l.mu.Unlock()
	if !up {
		return n
	}
	other, subj := &l.far, string(m.Subject)
	if m.Own {
		other = &l.near
	} else if strings.HasPrefix(subj, homeAPI) {
		return n // the other side's stays there
	} else if rest, ok := strings.CutPrefix(subj, farAPI); ok {
		subj = homeAPI + rest
	}
	crossed := *m
	crossed.Subject, crossed.Own = []byte(subj), false
	for _, x := range other.matching(subj) {
		x.h(&crossed)
		n++
	}
	return n
}
