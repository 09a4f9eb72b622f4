package jetstream

import (
	"github.com/frondmq/frond/core/jetstream/consumer"
)

// A mirror whose origin was deleted and made anew has messages of the old one
// under sequences that the new one gives again. It stops and says so, unless
// its metadata let it start over: then another stream takes its place, with
// its configuration and its consumers, empty.

// startOver puts an empty stream in the place of a mirror. The new one is made
// before the old one is deleted, so there is always one: after a crash between
// the two the newer one is it, and the older is deleted then.
func (e *Engine) startOver(s *stream) {
	a := s.acct
	a.changes.Lock()
	defer a.changes.Unlock()
	b := a.bus()
	if b == nil || a.stream(s.name) != s || !s.config().StartsOver() {
		return
	}
	e.logger.Warn("origin was made anew: the mirror starts over", "account", a.name, "stream", s.name, "messages", s.state().Msgs)
	var keep []*consumer.Config
	for _, m := range s.members() {
		if !m.direct {
			keep = append(keep, m.config())
		}
	}
	s.detach()
	p, err := e.submitStream(a, s.config())
	if err != nil {
		e.logger.Error("mirror could not start over", "account", a.name, "stream", s.name, "err", err)
		if err := s.attach(b); err != nil {
			e.logger.Error("stream could not be attached again", "account", a.name, "stream", s.name, "err", err)
		}
		return
	}
	e.deleteSuperseded(s)
	s.closeMembers()
	if err := p.outcome.stream.attach(b); err != nil {
		e.logger.Error("stream could not be attached", "account", a.name, "stream", s.name, "err", err)
	}
	p.outcome.stream.changes.Lock()
	defer p.outcome.stream.changes.Unlock()
	for _, cfg := range keep {
		if _, err := e.createConsumer(p.outcome.stream, cfg.Name, cfg); err != nil {
			e.logger.Error("consumer of a mirror that started over could not be made again", "stream", s.name, "consumer", cfg.Name, "err", err)
		}
	}
}

// deleteSuperseded deletes a stream that another of its name stands in for.
func (e *Engine) deleteSuperseded(s *stream) {
	if _, err := e.submit(s.log(), e.catalogueRecord(s.log(), opStreamDelete), true, appendUint(nil, s.incarnation)); err != nil {
		e.logger.Warn("what a mirror had before it started over is not deleted yet", "account", s.acct.name, "stream", s.name, "err", err)
	}
	e.drain.later()
}

// tidy is done for each stream after a start: what a crash left over goes.
func (s *stream) tidy() {
	if !s.leads() {
		return
	}
	if s.acct.stream(s.name) != s {
		s.e.deleteSuperseded(s)
		return
	}
	s.sweep()
}

// named makes s the stream of its name, unless a newer one is. The caller
// holds the account's mutex, or is the recovery.
func (a *account) named(s *stream) {
	if old := a.mu.streams[s.name]; old == nil || old.incarnation < s.incarnation {
		if old != nil {
			a.unlink(old.config())
		}
		a.mu.streams[s.name] = s
		a.link(s.config())
	}
}
