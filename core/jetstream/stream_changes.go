package jetstream

import (
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/subject"
)

// createStream makes a stream, or finds the one that is exactly that.
func (e *Engine) createStream(a *account, cfg *asset.StreamConfig, pedantic bool) (*stream, *apierror.Error) {
	cfg = cfg.Clone()
	if err := cfg.Check(e.cfg.Limits.MaxDuplicateWindow, pedantic); err != nil {
		return nil, err
	}
	a.changes.Lock()
	defer a.changes.Unlock()
	if s := a.stream(cfg.Name); s != nil {
		if asset.Equal(s.config(), cfg) {
			return s, nil
		}
		return nil, errStreamNameExists
	}
	if err := a.missing(cfg.Name); err != apierror.ErrStreamNotFound {
		return nil, err
	}
	if err := e.checkReserve(a, cfg, nil); err != nil {
		return nil, err
	}
	if a.overlaps(cfg.Subjects, cfg.Name) {
		return nil, errSubjectOverlap
	}
	if loops, err := a.loopsAt(cfg.Name, cfg, nil); err != nil {
		return nil, apierror.ErrStreamConfig.With("%v", err)
	} else if loops {
		return nil, apierror.ErrStreamConfig.With("detected cycle")
	}
	if cfg.Storage == asset.FileStorage && e.journal == nil {
		return nil, errStreamCreate
	}
	p, err := e.submitStream(a, cfg)
	if err != nil {
		return nil, err
	}
	s := p.outcome.stream
	if b := a.bus(); b != nil {
		if err := s.attach(b); err != nil {
			s.detach()
			e.submit(s.log(), e.catalogueRecord(s.log(), opStreamDelete), true, appendUint(nil, s.incarnation))
			return nil, errStreamCreate.With("%v", err)
		}
	}
	e.api.StreamChanged(s.acct, s.name, "CREATED", "create")
	return s, nil
}

// submitStream makes a stream of a checked configuration. The caller holds
// a.changes.
func (e *Engine) submitStream(a *account, cfg *asset.StreamConfig) (*pending, *apierror.Error) {
	log := e.logFor(cfg.Storage)
	c := streamCreate{
		incarnation: e.nextIncarnation.Add(1) - 1,
		account:     a.name,
		created:     e.lineFor(log).wallNow().UnixNano(),
		config:      asset.Encode(cfg),
	}
	return e.submit(log, e.catalogueRecord(log, opStreamCreate), false, c.append(nil))
}

// checkReserve checks the limits that count streams and the bytes they may
// grow to; old is the stream that is updated.
func (e *Engine) checkReserve(a *account, cfg *asset.StreamConfig, old *stream) *apierror.Error {
	maxStreams := a.maxStreams()
	a.mu.RLock()
	count := len(a.mu.streams)
	a.mu.RUnlock()
	if old == nil && maxStreams > 0 && count >= maxStreams {
		return errMaxStreams
	}
	i, more := int(cfg.Storage), cfg.MaxBytes
	stays := old != nil && old.config().Storage == cfg.Storage
	if stays {
		more -= max(old.config().MaxBytes, 0)
	}
	fits := cfg.MaxBytes <= 0 || e.quota.fits(i, more) && a.quota.fits(i, more)
	switch {
	case fits && (stays || !a.quota.forbids(i)):
		return nil
	case cfg.Storage == asset.MemoryStorage:
		return errMemoryExceeded
	}
	return errStorageExceeded
}

// updateStream gives a stream another configuration; cfg has been checked.
func (e *Engine) updateStream(a *account, cfg *asset.StreamConfig) (*stream, *apierror.Error) {
	a.changes.Lock()
	defer a.changes.Unlock()
	s := a.stream(cfg.Name)
	if s == nil {
		return nil, a.missing(cfg.Name)
	}
	cfg = cfg.Clone()
	if err := cfg.CheckUpdate(s.config()); err != nil {
		return nil, err
	}
	if err := s.checkConsumerLimits(&cfg.ConsumerLimits); err != nil {
		return nil, err
	}
	if err := e.checkReserve(a, cfg, s); err != nil {
		return nil, err
	}
	if a.overlaps(cfg.Subjects, cfg.Name) {
		return nil, errSubjectOverlap
	}
	if err := a.closesLoop(s, cfg); err != nil {
		return nil, err
	}
	if s.config().Retention == asset.LimitsRetention && cfg.Retention != asset.LimitsRetention {
		if err := s.settleVolatiles(); err != nil {
			return nil, err
		}
	}
	data := msgp.AppendBytes(nil, asset.Encode(cfg))
	if _, err := s.submit(opConfig, true, data); err != nil {
		return nil, err
	}
	if b := a.bus(); b != nil {
		if err := s.attach(b); err != nil {
			return nil, errStreamUpdate.With("%v", err)
		}
	}
	s.sweep()
	e.api.StreamChanged(s.acct, s.name, "UPDATED", "modify")
	return s, nil
}

// checkConsumerLimits refuses limits that a consumer is above already.
func (s *stream) checkConsumerLimits(l *asset.ConsumerLimits) *apierror.Error {
	var over []string
	for _, m := range s.members() {
		cfg := m.config()
		if m.direct {
			continue
		}
		if l.MaxAckPending > 0 && (cfg.MaxAckPending > l.MaxAckPending || cfg.MaxAckPending < 0) ||
			l.InactiveThreshold > 0 && cfg.Inactive > l.InactiveThreshold {
			over = append(over, m.name)
		}
	}
	if len(over) == 0 {
		return nil
	}
	slices.Sort(over)
	return errStreamUpdate.With("change to limits violates consumers: %s", strings.Join(over, ", "))
}

// matching lists the streams that capture something of a subject; "" is all.
func (a *account) matching(subj string) []*stream {
	all := a.sorted()
	if subj == "" {
		return all
	}
	return slices.DeleteFunc(all, func(s *stream) bool {
		return !slices.ContainsFunc(s.config().Subjects, func(x string) bool { return subject.Collide(x, subj) })
	})
}

func (e *Engine) deleteStream(a *account, name string) *apierror.Error {
	a.changes.Lock()
	defer a.changes.Unlock()
	s := a.stream(name)
	if s == nil {
		return e.deleteOffline(a, name)
	}
	forget := s.origins.ForgetSubjects()
	s.detach()
	if _, err := e.submit(s.log(), e.catalogueRecord(s.log(), opStreamDelete), true, appendUint(nil, s.incarnation)); err != nil {
		if b := a.bus(); b != nil && a.stream(name) == s {
			if err := s.attach(b); err != nil {
				e.logger.Error("stream could not be attached again", "account", a.name, "stream", name, "err", err)
			}
		}
		return err
	}
	s.closeMembers()
	e.fetch.Forget(s, forget...)
	e.api.StreamChanged(s.acct, s.name, "DELETED", "delete")
	e.drain.later()
	return nil
}

// deleteOffline deletes a stream that could not be opened, files and all: who
// asks for it has read why.
func (e *Engine) deleteOffline(a *account, name string) *apierror.Error {
	a.mu.RLock()
	o := a.mu.offline[name]
	a.mu.RUnlock()
	if o == nil {
		return apierror.ErrStreamNotFound
	}
	_, err := e.submit(e.journal, e.catalogueRecord(e.journal, opStreamDelete), true, appendUint(nil, o.incarnation))
	if err == nil {
		o.detach()
	}
	e.drain.later()
	return err
}
