package jetstream

import (
	"slices"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/subject"
)

// ways is where the streams of an account take messages from: a change of one
// is checked against those that it touches, and costs the same beside ten
// thousand others as alone.
type ways struct {
	captured captures
	// origins counts, by the name of an origin, who has it as mirror or source.
	origins map[string]int
}

// add notes a configuration; nil is none.
func (w *ways) add(c *asset.StreamConfig) {
	if c == nil {
		return
	}
	for _, s := range c.Subjects {
		w.captured.add(capture{s, c.Name})
	}
	for _, src := range c.Origins() {
		if w.origins == nil {
			w.origins = make(map[string]int)
		}
		w.origins[src.Name]++
	}
}

// remove takes an add back.
func (w *ways) remove(c *asset.StreamConfig) {
	if c == nil {
		return
	}
	for _, s := range c.Subjects {
		w.captured.remove(capture{s, c.Name})
	}
	for _, src := range c.Origins() {
		if w.origins[src.Name]--; w.origins[src.Name] == 0 {
			delete(w.origins, src.Name)
		}
	}
}

// link notes the configuration of a stream that is the one of its name now, and
// unlink takes that back. The caller holds the account's mutex, or is the
// recovery.
func (a *account) link(c *asset.StreamConfig) {
	a.mu.ways.add(c)
	a.reserve(c.Storage, max(c.MaxBytes, 0))
}

func (a *account) unlink(c *asset.StreamConfig) {
	a.mu.ways.remove(c)
	a.reserve(c.Storage, -max(c.MaxBytes, 0))
}

// reconfigured is told when s has another configuration than old.
func (a *account) reconfigured(s *stream, old *asset.StreamConfig) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.streams[s.name] == s {
		a.unlink(old)
		a.link(s.config())
	}
}

// overlaps reports whether a stream other than except captures some of subjects.
func (a *account) overlaps(subjects []string, except string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.ContainsFunc(subjects, func(s string) bool { return a.mu.ways.captured.collides(s, except) })
}

// leadsOn reports whether anything that the stream name stores goes to a stream:
// what few do. cfg is what its configuration is to be, nil as it is; with first,
// only what that push consumer delivers counts.
func (a *account) leadsOn(name string, cfg *asset.StreamConfig, first *consumer.Config) bool {
	captured := func(dest string) bool {
		a.mu.RLock()
		defer a.mu.RUnlock()
		return a.mu.ways.captured.collides(dest, "") || cfg != nil && slices.ContainsFunc(cfg.Subjects, func(s string) bool { return subject.Collide(s, dest) })
	}
	if first != nil {
		return captured(first.DeliverSubject)
	}
	a.mu.RLock()
	s, origin := a.mu.streams[name], a.mu.ways.origins[name] > 0
	a.mu.RUnlock()
	if origin || cfg.Republish != nil && captured(asset.WildcardForm(cfg.Republish.Destination)) {
		return true
	}
	return s != nil && slices.ContainsFunc(s.members(), func(m *member) bool {
		c := m.config()
		return !c.Pull() && !c.Direct && captured(c.DeliverSubject)
	})
}
