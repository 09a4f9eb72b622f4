package account

import (
	"slices"

	"github.com/frondmq/frond/core/subject"
)

// Event is one change of interest.
type Event struct {
	Sub   *Sub
	Delta int8 // +1 subscribed, -1 gone, 0 weight changed
}

// Watcher is told of interest. Interest is called with the account locked: it
// must not block and must not call Subscribe, Unsubscribe, SetWeight or Watch.
type Watcher interface{ Interest(e Event) }

type watching struct{ w Watcher }

// Watch gives w the whole present interest, then each change, in order and
// never two at once. No change between the two is lost. After cancel has
// returned w is not called any more.
func (a *Account) Watch(w Watcher) (cancel func()) {
	e := &watching{w}
	a.mu.Lock()
	defer a.mu.Unlock()
	present := make([]*Sub, 0, a.index.Len())
	a.index.Each(func(_, _ string, members []*Sub) { present = append(present, members...) })
	for _, s := range present {
		w.Interest(Event{Sub: s, Delta: 1})
	}
	a.mu.watchers = append(a.mu.watchers, e)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if i := slices.Index(a.mu.watchers, e); i >= 0 {
			a.mu.watchers = slices.Delete(a.mu.watchers, i, i+1)
		}
	}
}

type subjectWatch struct {
	f       func(present bool)
	present bool
}

// WatchSubject calls f with whether anyone is interested in the literal
// subject, once now and then whenever that changes. The rules for Watcher hold
// for f.
func (a *Account) WatchSubject(literal string, f func(present bool)) (cancel func()) {
	w := &subjectWatch{f: f}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.watched == nil {
		a.mu.watched = make(map[string][]*subjectWatch)
	}
	a.mu.watched[literal] = append(a.mu.watched[literal], w)
	w.present = a.index.HasInterest(literal)
	f(w.present)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		ws := a.mu.watched[literal]
		i := slices.Index(ws, w)
		switch {
		case i < 0:
		case len(ws) == 1:
			delete(a.mu.watched, literal)
		default:
			a.mu.watched[literal] = slices.Delete(ws, i, i+1)
		}
	}
}

func (a *Account) notifyLocked(e Event) {
	for _, w := range a.mu.watchers {
		w.w.Interest(e)
	}
	if e.Delta == 0 || len(a.mu.watched) == 0 {
		return
	}
	if subject.IsLiteral(e.Sub.Subject) {
		a.updateWatchesLocked(e.Sub.Subject, a.mu.watched[e.Sub.Subject])
		return
	}
	for literal, ws := range a.mu.watched {
		if subject.Match(e.Sub.Subject, literal) {
			a.updateWatchesLocked(literal, ws)
		}
	}
}

func (a *Account) updateWatchesLocked(literal string, ws []*subjectWatch) {
	if len(ws) == 0 {
		return
	}
	present := a.index.HasInterest(literal)
	for _, w := range ws {
		if w.present != present {
			w.present = present
			w.f(present)
		}
	}
}
