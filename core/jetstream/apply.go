package jetstream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// applier applies the entries of one log. It is used by one goroutine.
type applier struct {
	e *Engine
	// live is false during recovery: state changes, but nobody is told.
	live bool
	// durable is true for the journal's.
	durable bool

	pubs publishers
	out  []outcome
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
	err *APIError
	seq uint64 // stored as
	dup bool   // seq is of an earlier message with the same id
	// passed: nobody was interested, so only the sequence was taken.
	passed bool
	prev   uint64 // sequence of the message before on the same subject, for republish
	n      uint64 // messages removed, by a purge
	// consumer is the one that the operation was about.
	consumer *member
}

// maxRun bounds how long a stream is locked at once.
const maxRun = 512

// apply applies a group of entries that the log has made durable, in order.
// Consecutive entries of one stream share its lock; acknowledgements leave
// after it is free, and whoever got one is woken once at the end.
func (a *applier) apply(entries []edgestore.Entry) {
	for i := 0; i < len(entries); {
		inc := entries[i].Incarnation
		if inc == 0 {
			a.catalogue(&entries[i])
			i++
			continue
		}
		j := i + 1
		for j < len(entries) && j-i < maxRun && entries[j].Incarnation == inc {
			j++
		}
		a.stream(inc, entries[i:j])
		i = j
	}
	a.pubs.flush()
	a.e.applied(a, entries)
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
		if a.live {
			a.arrived(run)
			for i := range run {
				a.tell(nil, &run[i], &outcome{err: errStreamNotFound})
			}
		}
		return len(run)
	}
	if cap(a.out) < len(run) {
		a.out = make([]outcome, maxRun)
	}
	out := a.out[:len(run)]
	clear(out)
	n := s.applyRun(run, out)
	if !a.live {
		return n
	}
	a.arrived(run)
	now := len(run)
	if a.durable {
		var before []heldAnswer
		before, now = s.settled(run, out)
		for i := range before {
			a.tell(s, &before[i].entry, &before[i].outcome)
		}
	}
	for i := range run[:now] {
		a.tell(s, &run[i], &out[i])
	}
	return n
}

// applyRun is the only place where a stream's messages and settings change. In a
// recovery it ends where the stream's store fails: the recovery has to look at
// the stream before what follows. It returns how many operations were applied.
func (s *stream) applyRun(run []edgestore.Entry, out []outcome) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.store.State().Bytes
	for i := range run {
		en := &run[i]
		n++
		if en.LSN <= s.skipUpTo {
			continue
		}
		if s.failed != nil {
			out[i].err = errStoreFailed.with("%v", s.failed)
			if en.Kind == opNotes {
				_ = s.applyNotes(en) // answers from before wait for it
			}
			if !s.live {
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
			out[i].err = asAPI(err, errStoreFailed)
			s.unapplied(en, err)
		}
		if s.failed != nil {
			if !s.live {
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
		if !s.live && !s.wounded && s.watch != nil && s.watch.hurt.Load() {
			break
		}
	}
	grown := int64(s.store.State().Bytes) - int64(before)
	s.e.addUsage(s.memory, grown)
	if grown < 0 && s.live && !s.memory {
		// The space comes back with a drain, and whoever purges wants it back.
		s.e.drain.pending.Add(-grown)
	}
	if s.live {
		s.logNotes()
		s.consumers.publish()
	} else {
		s.consumers.events, s.consumers.compact = s.consumers.events[:0], false
	}
	return n
}

func (s *stream) applyUnlessRefused(en *edgestore.Entry, o *outcome) error {
	if s.wounded {
		if err := s.keepPlace(en); err != nil {
			s.unapplied(en, err)
		}
	}
	if s.refusedBefore(en) {
		o.err = errStoreFailed.with("refused before the restart")
		return nil
	}
	return s.applyOne(en, o)
}

// arrived takes messages off what is on its way into streams.
func (a *applier) arrived(run []edgestore.Entry) {
	n := 0
	for i := range run {
		if run[i].Kind == opPublish {
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
		return s.applyRelease(en.Data)
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
	var refusal *APIError
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
	s.e.report(Damage{
		Kind: DamageStopped, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("stream %q takes no changes any more: its store failed: %v", s.name, err),
		Do:   "repair what the error names and restart; what was acknowledged is in the journal, which keeps it until then and grows. Else delete the stream. What the disk does not read for good is given up with frond store giveup",
	})
	return errStoreFailed.with("%v", err)
}

// incoming is a message about to be stored.
type incoming struct {
	edgestore.Msg
	flags uint8
	id    []byte // Nats-Msg-Id, nil for none
	at    edgestore.Location
	stamp edgestore.Stamp
	// foreign: Time is that of the origin of a mirror.
	foreign bool
}

// incoming takes a message apart. The result is the stream's own and valid
// until the next one: it goes to a store behind an interface, so a new one
// would be on the heap.
func (s *stream) incoming(en *edgestore.Entry, flags uint8, blob []byte) (*incoming, error) {
	subj, header, body, err := edgestore.ParseBlob(blob)
	if err == nil && len(subj) == 0 {
		err = fmt.Errorf("message without a subject: %w", edgestore.ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	if s.in == nil {
		s.in = new(incoming)
	}
	m := s.in
	*m = incoming{}
	m.flags, m.stamp = flags, en.Stamp
	// Two that were stamped at once may be in the log the other way round.
	m.Time = max(en.Stamp.Wall, s.newest)
	m.Subject, m.Header, m.Body = s.subjects.get(subj), header, body
	if flags&flagMsgID != 0 {
		m.id = wire.HeaderGet(header, hdrMsgID)
	}
	// The blob is the tail of the record.
	m.at = en.At
	skip := len(en.Data) - len(blob)
	m.at.Offset += int64(skip)
	m.at.Length = uint32(len(blob))
	return m, nil
}

func (s *stream) applyPublish(en *edgestore.Entry, o *outcome) error {
	if len(en.Data) == 0 {
		return edgestore.ErrCorrupt
	}
	m, err := s.incoming(en, en.Data[0], en.Data[1:])
	if err != nil {
		return err
	}
	cfg := s.config()
	if cfg.Sealed && !s.wounded {
		return errStreamSealed
	}
	if m.flags != 0 && !s.wounded {
		if err := s.checkHeaders(cfg, m, o); err != nil || o.dup {
			return err
		}
	}
	return s.put(cfg, m, o)
}

// maxSeq bounds what a stream counts up to, for a purge, an origin or a
// configuration may move it to anywhere: nothing that adds to a sequence comes
// near an overflow.
const maxSeq = 1<<63 - 1

// put stores m, as the next message unless it has a sequence, and then makes
// room as the limits say.
func (s *stream) put(cfg *StreamConfig, m *incoming, o *outcome) error {
	if m.Seq == 0 {
		m.Seq = s.last + 1
	}
	if m.Seq > maxSeq {
		return errStoreFailed.with("no sequence is left")
	}
	if !s.wounded && cfg.Retention == InterestRetention && !s.consumers.interested(m.Subject) {
		s.pass(m, o)
		return nil
	}
	rollup := rollupNone
	if m.flags&flagRollup != 0 {
		rollup = rollupOf(m.Header)
	}
	if cfg.Discard == DiscardNew && !s.wounded {
		if err := s.checkRoom(cfg, m, rollup != rollupNone); err != nil {
			return err
		}
	}
	if s.view.Load().republish != nil {
		if st, ok := s.store.Subject(m.Subject); ok {
			o.prev = st.Last
		}
	}
	if err := s.store.Append(&m.Msg, m.at); err != nil {
		return s.fail(err)
	}
	s.last, o.seq = m.Seq, m.Seq
	if m.foreign {
		s.clock.arrived(m, cfg.MaxAge)
	} else {
		s.newest = m.Time
	}
	if m.flags&flagTTL != 0 && cfg.AllowMsgTTL {
		s.addTTL(m)
	}
	if m.id != nil {
		s.rememberID(m)
		s.setLastMsgID(string(m.id))
	} else if s.lastMsgID != "" {
		s.setLastMsgID("")
	}
	s.consumers.stored(m.Seq, m.Subject)
	return s.makeRoom(cfg, m.Subject, rollup)
}

// pass counts a message that no consumer of an interest stream is there for:
// it gets a sequence, and is not stored.
func (s *stream) pass(m *incoming, o *outcome) {
	s.store.Skip(m.Seq, m.Time)
	if !m.foreign {
		s.newest = m.Time
	}
	s.last, o.seq = m.Seq, m.Seq
	o.passed = true
	if m.id != nil {
		s.rememberID(m)
	}
}

func (s *stream) setLastMsgID(id string) {
	s.lastMsgID = id
	s.auxDirty.lastMsgID = true
}

// applyIngest stores what a mirror or a source brought. A mirrored message
// keeps its sequence and time; a sourced one gets the next sequence, and its
// place at the origin is remembered, so that the source resumes behind it.
func (s *stream) applyIngest(en *edgestore.Entry, o *outcome) error {
	from, flags, blob, err := readOrigin(en.Data)
	if err != nil {
		return err
	}
	m, err := s.incoming(en, flags, blob)
	if err != nil {
		return err
	}
	if len(m.id) > maxMsgID {
		m.id = nil // it was stored before its server knew the bound
	}
	cfg := s.config()
	if !cfg.AllowRollup || rollupOf(m.Header) == rollupInvalid {
		m.flags &^= flagRollup
	}
	if from.source == "" {
		if from.seq <= s.last || cfg.Mirror == nil { // a mirror that was promoted meanwhile
			o.seq, o.dup = from.seq, true
			return nil
		}
		if s.last < from.after {
			if !s.wounded {
				return errOriginGap
			}
			if err := s.lose(s.last+1, from.after); err != nil {
				return err
			}
		}
		m.Seq, m.Time, m.id, m.foreign = from.seq, from.at, nil, true
		if err := s.put(cfg, m, o); err != nil || o.err != nil {
			return err
		}
		if at := s.positions[""]; at.came(from.seq) {
			s.setPosition("", at)
			s.auxDirty.positions = true
		}
		return nil
	}
	at := s.positions[from.source]
	if from.seq <= at.seq {
		o.dup = true
		return nil
	}
	if at.seq < from.after && !s.wounded {
		return errOriginGap
	}
	if m.id != nil && !s.wounded {
		seq, known, err := s.seenID(m.id)
		if err != nil {
			return err
		}
		if known {
			o.seq, o.dup = seq, true
		}
	}
	o.dup = o.dup || m.flags&flagLoop != 0
	if !o.dup {
		if err := s.put(cfg, m, o); err != nil || o.err != nil {
			return err // the position stays: the source tries again
		}
	}
	at.seq = from.seq
	at.came(from.seq)
	s.setPosition(from.source, at)
	s.auxDirty.positions = true
	return nil
}

// errOriginGap is for a message behind one that was refused: the position of the
// stream must not move over that. Both are brought again.
var errOriginGap = errStoreFailed.with("the message before it was not stored")

func (s *stream) applySkip(data []byte) error {
	r := opReader{b: data}
	last, at := r.uint(), r.int()
	if err := r.done("skip"); err != nil {
		return err
	}
	if last = min(last, maxSeq); last > s.last && s.config().Mirror != nil {
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
	cfg, err := decodeConfig(b)
	if err != nil {
		return err
	}
	old := s.config()
	if err := s.setConfig(cfg); err != nil {
		return errStreamUpdate.with("%v", err)
	}
	s.auxDirty.config = true
	if cfg.AllowMsgTTL && !old.AllowMsgTTL {
		if err := s.rescan(); err != nil {
			return err
		}
	}
	if old.Mirror != nil && cfg.Mirror == nil {
		s.promoted()
		// From here on the stream's own count matters.
		s.note(note{seat: en.Seat, delta: s.noted, last: s.last})
	}
	return s.tighten(old, cfg)
}

func (s *stream) applyMsgDelete(data []byte) error {
	r := opReader{b: data}
	seq := r.uint()
	if err := r.done("message delete"); err != nil {
		return err
	}
	st := s.store.State()
	_, ok, err := s.store.Remove(seq)
	switch {
	case err != nil:
		return s.fail(err)
	case ok:
		s.consumers.removed(seq, "", eventDeleted)
		return nil
	case s.memory:
		return errSequenceNotFound.with("sequence %d not found", seq)
	case seq > st.LastSeq:
		return errMsgDelete.with("stream store EOF")
	case seq < st.FirstSeq:
		return errMsgDelete
	}
	return errSequenceNotFound.with("sequence %d not found", seq)
}

func (s *stream) applyPurge(data []byte, o *outcome) error {
	p, err := readPurge(data)
	if err != nil {
		return err
	}
	all := p.filter == "" || p.filter == ">"
	if all && p.keep == 0 && p.seq != 1 {
		to := min(p.seq, maxSeq+1)
		if to == 0 {
			to = s.last + 1
		}
		o.n, err = s.store.Compact(to)
		s.last = s.store.State().LastSeq
	} else if p.seq != 1 {
		o.n, err = s.store.Purge(p.filter, p.seq, p.keep)
	}
	if err != nil {
		return s.fail(err)
	}
	s.consumers.purged(p.filter)
	return nil
}

// compact drops everything below seq, but never moves beyond what was stored.
func (s *stream) compact(seq uint64) error {
	if seq = min(seq, s.last+1); seq == 0 {
		return nil
	}
	n, err := s.store.Compact(seq)
	if err != nil {
		return s.fail(err)
	}
	if n > 0 {
		s.consumers.compacted()
	}
	return nil
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
