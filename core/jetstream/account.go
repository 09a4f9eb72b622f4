package jetstream

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/wire"
)

// account is one tenant's streams. It exists as soon as it has streams on
// disk; it has a bus while JetStream is enabled for it.
type account struct {
	e    *Engine
	name string

	counts api.Counts

	quota  quota                         // of its own, beside the engine's
	limits atomic.Pointer[AccountLimits] // never nil

	// changes is held by whoever creates, updates or deletes a stream of the
	// account, from the check to the answer, over the wait for the disk: the
	// checks stay true until the operation is applied.
	changes sync.Mutex

	mu struct {
		sync.RWMutex
		bus     Bus
		streams map[string]*stream
		// offline are those that could not be opened, by name.
		offline map[string]*offline
		ways    ways // of those of both
		subs    []func()
	}
}

func newAccount(e *Engine, name string) *account {
	a := &account{e: e, name: name}
	a.limits.Store(&AccountLimits{})
	a.mu.streams = make(map[string]*stream)
	return a
}

func (a *account) stream(name string) *stream {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.mu.streams[name]
}

// sorted lists the account's streams by name.
func (a *account) sorted() []*stream {
	a.mu.RLock()
	all := make([]*stream, 0, len(a.mu.streams))
	for _, s := range a.mu.streams {
		all = append(all, s)
	}
	a.mu.RUnlock()
	slices.SortFunc(all, func(x, y *stream) int { return strings.Compare(x.name, y.name) })
	return all
}

func (a *account) bus() Bus {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.mu.bus
}

// enable attaches the account to its bus.
func (a *account) enable(b Bus) error {
	a.changes.Lock()
	defer a.changes.Unlock()
	a.mu.Lock()
	a.mu.bus = b
	a.mu.Unlock()
	for _, s := range a.sorted() {
		if err := s.attach(b); err != nil {
			return err
		}
	}
	for _, o := range a.allOffline() {
		if err := o.attach(b); err != nil {
			return err
		}
	}
	for _, pattern := range api.Subjects() {
		cancel, err := b.Subscribe(pattern, "", asked(func(m *wire.Msg) { a.e.api.Request(a, m) }))
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.mu.subs = append(a.mu.subs, cancel)
		a.mu.Unlock()
	}
	return nil
}

// leave takes the account's subscriptions away; what was asked for before can
// still be answered.
func (a *account) leave() {
	a.changes.Lock()
	defer a.changes.Unlock()
	a.mu.Lock()
	subs := a.mu.subs
	a.mu.subs = nil
	a.mu.Unlock()
	for _, cancel := range subs {
		cancel()
	}
	for _, s := range a.sorted() {
		s.detach()
	}
	for _, o := range a.allOffline() {
		o.detach()
	}
}

func (a *account) disable() {
	a.leave()
	a.mu.Lock()
	a.mu.bus = nil
	a.mu.Unlock()
}

// attach makes the stream capture its subjects and answer direct gets. The
// caller holds acct.changes. It may be called again after an update: what is
// new is added before what went is taken away. A stream that another server leads
// stays off the bus.
func (s *stream) attach(b Bus) error {
	if !s.leads() {
		return nil
	}
	if !s.logForgotten() {
		s.busStale.Store(true) // with the next look
		return nil
	}
	cfg := s.config()
	for _, subj := range cfg.Subjects {
		if slices.ContainsFunc(s.attached, func(x attachment) bool { return x.subject == subj }) {
			continue
		}
		cancel, err := b.Subscribe(subj, "", s.ingest)
		if err != nil {
			return err
		}
		s.attached = append(s.attached, attachment{subj, cancel})
	}
	s.attached = slices.DeleteFunc(s.attached, func(x attachment) bool {
		if slices.Contains(cfg.Subjects, x.subject) {
			return false
		}
		x.cancel()
		return true
	})
	if cfg.AllowDirect && s.direct == nil {
		if err := s.attachDirect(b); err != nil {
			return err
		}
	}
	if !cfg.AllowDirect {
		s.detachDirect()
	}
	if err := s.origins.Follow(s.e.fetch, s, b); err != nil {
		return err
	}
	return s.attachMembers(b)
}

// detach takes the stream off the bus.
func (s *stream) detach() {
	for _, x := range s.attached {
		x.cancel()
	}
	s.attached = nil
	s.detachDirect()
	s.origins.End(s.e.fetch)
	s.detachMembers()
}

func (s *stream) detachDirect() {
	for _, cancel := range s.direct {
		cancel()
	}
	s.direct = nil
}
