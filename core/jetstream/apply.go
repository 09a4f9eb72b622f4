package jetstream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// applier applies the entries of one log. It is used by one goroutine.
type applier struct {
	e *Engine
	// replays: it is the recovery's, and what it applies was applied before.
	replays bool
	// durable is true for the journal's.
	durable bool

	pubs publishers
	fx   effects
	one  [1]edgestore.Entry // an operation of the catalogue
	buf  []byte
	hdr  []byte
	msg  wire.Msg
}

// log is the log that a applies.
func (a *applier) log() Log {
	if a.durable {
		return a.e.journal
	}
	return a.e.mem
}

// outcome is what became of one operation.
type outcome struct {
	err *apierror.Error
	// unknown: the operation may be in the log or not, see Log; err is set too.
	unknown bool
	seq     uint64 // stored as
	dup     bool   // seq is of an earlier message with the same id
	// passed: nobody was interested, so only the sequence was taken.
	passed bool
	// stream is the one that was created.
	stream *stream
	prev   uint64 // sequence of the message before on the same subject, for republish
	n      uint64 // messages removed, by a purge
	// consumer is the one that the operation was about.
	consumer *member
}

// maxRun bounds how long a stream is locked at once.
const maxRun = 512

// apply applies a group of entries that the log has made durable, in order.
// Consecutive entries of one stream are one step and share its lock;
// acknowledgements leave after it is free, and whoever got one is woken once at
// the end.
func (a *applier) apply(entries []edgestore.Entry) {
	for rest := entries; len(rest) > 0; {
		n := a.step(rest)
		a.carryOut(&a.fx)
		rest = rest[n:]
	}
	a.pubs.flush()
	a.e.applied(a, entries)
}

// lost tells of operations of which nobody here will know what became. They are
// not applied: what is in the log all the same comes again, to whoever reads it.
func (a *applier) lost(entries []edgestore.Entry) {
	for i := range entries {
		en := &entries[i]
		s := a.e.stream(en.Incarnation)
		a.arrived(entries[i : i+1])
		if s != nil {
			s.unlogged(en)
		}
		a.tell(s, en, &outcome{err: errNotAvailable, unknown: true})
	}
	a.pubs.flush()
}

// unlogged takes back what was noted when an operation was appended that is lost.
func (s *stream) unlogged(en *edgestore.Entry) {
	switch en.Kind {
	case opExpire:
		s.expiring.Store(false)
	case opClockMove:
		s.moving.Store(false)
	case opRelease:
		r := opReader{b: en.Data}
		if n := r.uint(); en.Token == any(counted{}) {
			s.releasing.Add(-int64(n))
			s.sweepAgain.Store(true)
		}
	}
}

// loseHeld ends the wait for notes that never became durable.
func (e *Engine) loseHeld() {
	a := &applier{e: e}
	for _, s := range e.allStreams() {
		s.mu.Lock()
		held := s.held
		s.held = nil
		s.mu.Unlock()
		for i := range held {
			a.tell(s, &held[i].entry, &outcome{err: errNotAvailable, unknown: true})
		}
	}
	a.pubs.flush()
}

// stream applies operations of one stream and returns how many it applied: fewer
// only in a recovery, and one at least.
func (a *applier) stream(inc uint64, run []edgestore.Entry) int {
	s := a.e.stream(inc)
	if s == nil {
		if o := a.e.offline(inc); o != nil {
			a.e.keepOffline(o, run[0].LSN)
		}
		a.e.raiseIncarnation(inc)
		// Deleted while these were on their way.
		if !a.replays {
			a.fx.begin(nil, run)
			for i := range run {
				a.fx.out[i].err = apierror.ErrStreamNotFound
			}
			a.fx.now = len(run)
		}
		return len(run)
	}
	fx := &a.fx
	fx.begin(s, run)
	n := s.applyRun(run, fx)
	if a.replays {
		fx.wake = fx.wake[:0] // nobody does anything before the end of the recovery
		return n
	}
	fx.now = len(run)
	if a.durable {
		fx.before, fx.now = s.settled(run, fx.out)
	}
	return n
}

// applyRun is the only place where a stream's messages and settings change. In a
// recovery it ends where the stream's store fails: the recovery has to look at
// the stream before what follows. It returns how many operations were applied, and
// what is to be done now in fx.
func (s *stream) applyRun(run []edgestore.Entry, fx *effects) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fx = fx
	defer func() { s.fx = nil }()
	out := fx.out
	before := s.store.Index().Bytes
	for i := range run {
		en := &run[i]
		n++
		if en.LSN <= s.skipUpTo {
			s.consumers.skipped(en)
			continue
		}
		if len(s.consumers.missed) > 0 {
			s.bringMissed()
		}
		if s.failed != nil {
			s.stoppedBefore(en, &out[i])
			if en.Kind == opNotes {
				_ = s.applyNotes(en) // answers from before wait for it
			}
			if s.role == recovering {
				break
			}
			continue
		}
		s.dedup.advance(&en.Stamp)
		err := s.applyUnlessRefused(en, &out[i])
		if errors.Is(err, errWound) {
			err = s.applyUnlessRefused(en, &out[i])
		}
		if err != nil {
			out[i].err = apierror.Of(err, errStoreFailed)
			s.unapplied(en, err)
		}
		s.stopIfDamaged()
		if s.failed != nil {
			s.stoppedBefore(en, &out[i])
			if s.role == recovering {
				break
			}
			continue // a restart decides about it anew
		}
		if s.wounded {
			s.noteMoves(en)
		}
		s.followed(&en.Record)
		s.applied = en.LSN
		if s.dirtyFrom == 0 {
			s.dirtyFrom = en.LSN
		}
		if s.role == recovering && !s.wounded && s.watch != nil && s.watch.hurt.Load() {
			break
		}
	}
	grown := int64(s.store.Index().Bytes) - int64(before)
	s.acct.addUsage(s.memory, grown)
	if grown < 0 && s.role != recovering && !s.memory {
		fx.freed = -grown
	}
	if s.role == leader {
		fx.notes = len(s.notes) > 0
		s.consumers.publish()
	} else {
		// A consumer that follows learns from its deltas, and looks anew when it runs.
		s.consumers.events, s.consumers.compact = s.consumers.events[:0], false
	}
	return n
}

// stoppedBefore keeps an operation that is not applied in the journal: a restart
// begins with it, and decides about it. So nobody knows yet what becomes of it. In
// memory it is gone.
func (s *stream) stoppedBefore(en *edgestore.Entry, o *outcome) {
	if s.memory {
		o.err = s.stopped.Load()
		return
	}
	*o = outcome{err: errNotAvailable, unknown: true}
	if s.stoppedAt == 0 {
		s.stoppedAt = en.LSN
	}
	if s.role == follower {
		*s.chain = behind(&en.Record) // the log goes on
	}
}

func (s *stream) applyUnlessRefused(en *edgestore.Entry, o *outcome) error {
	if s.wounded {
		if err := s.keepPlace(en); err != nil {
			s.unapplied(en, err)
		}
	}
	if s.refusedBefore(en) {
		o.err = errStoreFailed.With("refused before the restart")
		return nil
	}
	return s.applyOne(en, o)
}

// arrived takes messages that were appended here off what is on its way into
// streams.
func (a *applier) arrived(run []edgestore.Entry) {
	n := 0
	for i := range run {
		if run[i].Kind == opPublish && run[i].Token != nil {
			n += len(run[i].Data)
		}
	}
	if n > 0 {
		a.e.coming[usageIndex(!a.durable)].Add(-int64(n))
	}
}

func (s *stream) applyOne(en *edgestore.Entry, o *outcome) error {
	switch en.Kind {
	case opPublish:
		return s.applyPublish(en, o)
	case opIngest:
		return s.applyIngest(en, o)
	case opConfig:
		return s.applyConfig(en)
	case opMsgDelete:
		return s.applyMsgDelete(en.Data)
	case opPurge:
		return s.applyPurge(en.Data, o)
	case opExpire:
		return s.applyExpire(en.Data)
	case opMarker:
		return s.applyMarker(en, o)
	case opSkip:
		return s.applySkip(en.Data)
	case opRelease:
		return s.applyRelease(en)
	case opClockMove:
		return s.applyClockMove(en.Data)
	case opNotes:
		return s.applyNotes(en)
	case opShift:
		return nil
	case opLost:
		return s.applyLost(en.Data)
	case opOrigin:
		return s.applyOrigin(en.Data)
	case opPassedOver:
		return s.applyPassedOver(en.Data, o)
	}
	return s.consumers.apply(en, o)
}

// unapplied tells of an operation that failed for a reason that its requester
// has nothing to do with.
func (s *stream) unapplied(en *edgestore.Entry, err error) {
	var refusal *apierror.Error
	if errors.As(err, &refusal) {
		return
	}
	s.e.report(Damage{
		Kind: DamageReplay, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("operation %d (kind %d) of stream %q could not be applied: %v", en.LSN, en.Kind, s.name, err),
		Do:   "nothing: the stream goes on without it; compare what depends on it with its origin",
	})
}

// where names the folder of the stream, "" when it has none.
func (s *stream) where() string {
	if s.memory {
		return ""
	}
	return s.e.cfg.backend.where(s.incarnation)
}

// fail stops the stream: its store did not take a change, and what follows
// would be built on sand. Its operations stay in the journal.
func (s *stream) fail(err error) error {
	s.failed = err
	refusal := errStoreFailed.With("%v", err)
	s.stopped.Store(refusal)
	s.e.report(Damage{
		Kind: DamageStopped, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("stream %q takes no changes any more: its store failed: %v", s.name, err),
		Do:   "repair what the error names and restart; what was acknowledged is in the journal, which keeps it until then and grows. Else delete the stream. What the disk does not read for good is given up with frond store giveup",
	})
	return refusal
}

func (s *stream) applySkip(data []byte) error {
	r := opReader{b: data}
	last, at := r.uint(), r.int()
	if err := r.done("skip"); err != nil {
		return err
	}
	if last = min(last, asset.MaxSeq); last > s.last && s.config().Mirror != nil {
		if err := s.forgo(last); err != nil {
			return err
		}
		s.store.Skip(last, at)
		s.last = last
	}
	return nil
}

func (s *stream) applyConfig(en *edgestore.Entry) error {
	r := opReader{b: en.Data}
	b := r.bytes()
	if err := r.done("stream update"); err != nil {
		return err
	}
	cfg, err := s.e.configs.Decode(b)
	if err != nil {
		return err
	}
	old := s.config()
	if _, err := newStreamView(cfg, s.e.cfg.Domain); err != nil {
		return errStreamUpdate.With("%v", err)
	}
	var ttls *expiries
	if cfg.AllowMsgTTL && !old.AllowMsgTTL {
		if ttls, err = s.ttlsStored(); err != nil {
			return err
		}
	}
	narrow, err := s.planTighten(old, cfg)
	if err != nil {
		return err
	}
	if err := s.tighten(&narrow); err != nil {
		return err
	}
	if old.Mirror != nil && cfg.Mirror == nil {
		if err := s.forgo(asset.MaxSeq); err != nil {
			return err
		}
	}
	// From here on nothing is read.
	if err := s.setConfig(cfg); err != nil {
		return errStreamUpdate.With("%v", err)
	}
	s.acct.reconfigured(s, old)
	s.auxDirty.config = true
	if ttls != nil {
		s.beginTTLs(ttls)
	}
	if old.Mirror != nil && cfg.Mirror == nil {
		s.promoted()
	}
	return nil
}

func (s *stream) applyMsgDelete(data []byte) error {
	r := opReader{b: data}
	seq := r.uint()
	if err := r.done("message delete"); err != nil {
		return err
	}
	st := s.store.Index()
	ok := s.store.Has(seq)
	if ok {
		if err := s.removeOne(seq); err != nil {
			return err
		}
	}
	switch {
	case ok:
		s.consumers.removed(seq, "", eventDeleted)
		return nil
	case s.memory:
		return errSequenceNotFound.With("sequence %d not found", seq)
	case seq > st.LastSeq:
		return apierror.ErrMsgDelete.With("stream store EOF")
	case seq < st.FirstSeq:
		return apierror.ErrMsgDelete
	}
	return errSequenceNotFound.With("sequence %d not found", seq)
}

// removeOne removes a message that is there.
func (s *stream) removeOne(seq uint64) error {
	r, readable, err := s.from(seq)
	if err != nil {
		return err
	}
	if readable && r.Seq == seq {
		s.store.Drop([]edgestore.Removal{r})
		return nil
	}
	return s.change(func() error {
		_, _, err := s.store.Remove(seq)
		return err
	})
}

func (s *stream) applyPurge(data []byte, o *outcome) error {
	p, err := readPurge(data)
	if err != nil {
		return err
	}
	all := p.filter == "" || p.filter == ">"
	switch {
	case p.seq == 1:
	case all && p.keep == 0:
		to := min(p.seq, asset.MaxSeq+1)
		if to == 0 {
			to = s.counted() + 1
		}
		o.n, err = s.compactTo(to)
	default:
		err = s.read(func(st edgestore.Reads) error { return st.ReadPurge(p.filter, p.seq, p.keep) })
		if err == nil {
			err = s.change(func() (err error) {
				o.n, err = s.store.Purge(p.filter, p.seq, p.keep)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	s.last = s.store.Index().LastSeq
	s.consumers.purged(p.filter)
	return nil
}

// compact drops everything below seq, but never moves beyond what was stored.
func (s *stream) compact(seq uint64) error {
	if seq = min(seq, s.last+1); seq == 0 {
		return nil
	}
	n, err := s.compactTo(seq)
	if err != nil {
		return err
	}
	if n > 0 {
		s.consumers.compacted()
	}
	return nil
}

// compactTo is Store.Compact for a step.
func (s *stream) compactTo(seq uint64) (n uint64, err error) {
	if err = s.read(func(st edgestore.Reads) error { return st.ReadPurge("", seq, 0) }); err != nil {
		return 0, err
	}
	err = s.change(func() (err error) {
		n, err = s.store.Compact(seq)
		return err
	})
	return n, err
}

// rollup is what a Nats-Rollup header asks for.
type rollup uint8

const (
	rollupNone rollup = iota
	rollupSubject
	rollupAll
	rollupInvalid
)

func rollupOf(header []byte) rollup {
	v := string(wire.HeaderGet(header, hdrRollup))
	switch {
	case v == "":
		return rollupNone
	case strings.EqualFold(v, "sub"):
		return rollupSubject
	case strings.EqualFold(v, "all"):
		return rollupAll
	}
	return rollupInvalid
}
