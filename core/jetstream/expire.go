package jetstream

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// expirePeriod is how often streams are looked at for what is too old, at least,
// and expirePause at most. A message lives at most the first longer than it
// should, and one whose time comes later than that only the second.
const (
	expirePeriod = time.Second
	expirePause  = 50 * time.Millisecond
)

// maxExpire bounds how many messages one operation looks at one by one.
const maxExpire = 4096

// expiry is what opExpire says: what goes, given the state that it finds.
type expiry struct {
	cutoff int64  // messages older than this are above their max_age; 0: none
	below  uint64 // and have a lower sequence than this; 0: any
	above  uint64 // of those below this, all that are left live for ever
	tick   int64  // messages are due by their own TTL at this tick; 0: none
	limit  uint64 // at most so many are looked at one by one, of each kind
}

func (x *expiry) append(b []byte) []byte {
	b = msgp.AppendInt64(b, x.cutoff)
	b = msgp.AppendUint64(b, x.below)
	b = msgp.AppendInt64(b, x.tick)
	b = msgp.AppendUint64(b, x.limit)
	return msgp.AppendUint64(b, x.above)
}

func readExpiry(b []byte) (x expiry, err error) {
	r := opReader{b: b}
	x.cutoff, x.limit = r.int(), math.MaxInt64
	if r.err == nil && len(r.b) > 0 { // older ones end here
		x.below, x.tick, x.limit, x.above = r.uint(), r.int(), r.uint(), r.uint()
	}
	return x, r.done("expire")
}

// expiryTick has what is too old go. The operations carry the cutoff, so that applying
// them needs no clock.
func (s *stream) expiryTick(now moment, fx *tickEffects) {
	if s.expiring.Load() {
		// What was logged before must be applied first, and there may be more.
		// A stream that has failed applies nothing any more.
		if s.working() {
			fx.next = expirePause
		}
		return
	}
	x, markers, ok, err := s.overdue(now.at())
	if err != nil {
		fx.unread = err
		return
	}
	if !ok {
		if d, ok := s.nextDue(now.at()); ok {
			fx.next = min(fx.next, d)
		}
		return
	}
	fx.next = expirePause // there may be more
	for i := range markers {
		fx.ops = append(fx.ops, s.markerOp(&markers[i]))
	}
	fx.ops = append(fx.ops, operation{kind: opExpire, what: "expiry", data: [3][]byte{x.append(nil)}})
}

// nextDue is how long the oldest messages have still to live.
func (s *stream) nextDue(now int64) (wait time.Duration, ok bool) {
	cfg := s.config()
	if cfg.MaxAge <= 0 && !cfg.AllowMsgTTL {
		return 0, false
	}
	var st edgestore.State
	if cfg.MaxAge > 0 {
		st = s.store.State() // which may read
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if at, some := s.expiries.next(); some {
		wait, ok = time.Duration(at*int64(tick)-now), true
	}
	if st.Msgs > 0 && max(s.agedUpTo, s.clock.doubtful+1) <= st.FirstSeq {
		at := st.FirstTime.UnixNano()
		if cfg.Mirror == nil {
			at = s.line.table().settled(at)
		}
		d := time.Duration(saturated(at-now, int64(cfg.MaxAge)))
		if !ok || d < wait {
			wait, ok = d, true
		}
	}
	return wait, ok
}

// marker is to be stored in place of the message that is the newest of a
// subject, if it still is.
type marker struct {
	subject string
	seq     uint64
}

// working reports whether the stream takes operations.
func (s *stream) working() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.deleted && s.failed == nil
}

// overdue finds what is to be done for the stream now, when all that was logged
// for it is applied. Who can't read what would leave a marker does nothing yet.
func (s *stream) overdue(now int64) (x expiry, markers []marker, ok bool, err error) {
	cfg := s.config()
	if cfg.MaxAge <= 0 && !cfg.AllowMsgTTL || cfg.Sealed {
		return x, nil, false, nil
	}
	x.limit = maxExpire
	marks := cfg.AllowMsgTTL && cfg.SubjectDeleteMarkerTTL > 0
	old := ages{at: saturated(now, -int64(cfg.MaxAge)), table: s.line.table()}
	s.mu.RLock()
	if s.deleted || s.failed != nil {
		s.mu.RUnlock()
		return x, nil, false, nil
	}
	var due []uint64
	if cfg.AllowMsgTTL {
		x.tick = now / int64(tick)
		if due = s.expiries.due(x.tick, maxExpire); len(due) == 0 {
			x.tick = 0
		}
	}
	old.upTo, old.doubtful, old.here = s.agedUpTo, s.clock.doubtful, s.clock.hereSince(old.table, old.at)
	s.mu.RUnlock()
	// What is read now may go meanwhile: what goes is decided by applying.
	if cfg.MaxAge > 0 {
		if due, err = s.overAge(&x, due, &old, marks); err != nil {
			return x, nil, false, err
		}
	}
	if marks {
		if markers, err = s.leaveMarkers(due); err != nil {
			return x, nil, false, err
		}
	}
	return x, markers, x.tick != 0 || x.cutoff != 0, nil
}

// ages are what is above its max_age, as far as it need not be read.
type ages struct {
	at             int64 // on the line: what is stored before
	table          *timetable
	upTo           uint64 // see stream.agedUpTo
	doubtful, here uint64 // see clockState
}

// overAge fills in what is stored before a point on the line, and adds the
// messages that may leave a marker.
func (s *stream) overAge(x *expiry, due []uint64, age *ages, marks bool) ([]uint64, error) {
	st := s.store.State()
	if st.Msgs == 0 {
		return due, nil
	}
	cutoff, mirror := age.at, s.config().Mirror != nil
	if !mirror {
		cutoff = age.table.cutoff(cutoff)
	}
	x.above = age.upTo
	from := max(st.FirstSeq, x.above)
	old := uint64(0)
	if sure := !mirror || from > age.doubtful; sure && st.FirstTime.UnixNano() < cutoff {
		var err error
		if old, err = s.store.SeqAt(time.Unix(0, cutoff)); err != nil {
			return due, err
		}
	}
	if from < old {
		x.cutoff = cutoff
	} else if mirror && age.here >= from {
		x.cutoff, x.below = math.MaxInt64, age.here+1
	} else {
		return due, nil
	}
	if !marks {
		return due, nil
	}
	due, below, err := s.aged(due, from, x)
	if below != 0 {
		x.below = below
	}
	return due, err
}

// aged adds the messages that are above their max_age, and tells where it
// stopped looking.
func (s *stream) aged(due []uint64, from uint64, x *expiry) ([]uint64, uint64, error) {
	var buf []byte
	for n := 0; n < maxExpire; n++ {
		m, b, err := s.store.LoadNext(nil, from, buf)
		if errors.Is(err, edgestore.ErrNotFound) || err == nil && (m.Time >= x.cutoff || x.below != 0 && m.Seq >= x.below) {
			return due, 0, nil
		}
		if err != nil {
			return due, 0, err
		}
		if buf, from = b, m.Seq+1; ttlOf(m.Header) != ttlNever {
			due = append(due, m.Seq)
		}
	}
	return due, from, nil
}

// leaveMarkers chooses those of the messages that leave a marker.
func (s *stream) leaveMarkers(due []uint64) (markers []marker, err error) {
	var buf []byte
	going := make(map[string]uint64)
	seen := make(map[uint64]bool)
	for _, seq := range due {
		m, b, err := s.store.Load(seq, buf)
		if err != nil && !goneForGood(err) {
			return nil, err
		}
		if buf = b; err != nil || seen[seq] {
			continue
		}
		seen[seq] = true // above both its age and its TTL
		going[m.Subject]++
		st, ok, err := s.store.Subject(m.Subject)
		if err != nil {
			return nil, err
		}
		if ok && st.Last == seq && !isMarker(m.Header) {
			markers = append(markers, marker{m.Subject, seq})
		}
	}
	// Only when nothing of the subject is left.
	markers = slices.DeleteFunc(markers, func(x marker) bool {
		st, _, failed := s.store.Subject(x.subject)
		err = cmp.Or(err, failed)
		return st.Msgs > going[x.subject]
	})
	if err != nil {
		return nil, err
	}
	return markers, nil
}

// goneForGood reports whether a message is not there, or never will be read
// again, rather than that a read failed.
func goneForGood(err error) bool {
	return errors.Is(err, edgestore.ErrNotFound) || errors.Is(err, edgestore.ErrDeleted) ||
		errors.Is(err, edgestore.ErrLost) || errors.Is(err, edgestore.ErrCorrupt)
}

// markerOp stores a marker.
func (s *stream) markerOp(m *marker) operation {
	header := markerHeader(s.config())
	head := msgp.AppendUint64(msgp.AppendUint64(nil, uint64(flagTTL|flagRollup)), m.seq)
	head = edgestore.AppendBlobHead(head, len(m.subject), len(header))
	return operation{kind: opMarker, takes: true, what: "expiry", data: [3][]byte{head, []byte(m.subject), header}}
}

// readMarker also gives what follows: the blob.
func readMarker(b []byte) (flags uint8, seq uint64, blob []byte, err error) {
	r := opReader{b: b}
	flags, seq = uint8(r.uint()), r.uint()
	return flags, seq, r.b, r.done("marker")
}

// applyMarker stores a marker, unless there is something newer than what it is
// for.
func (s *stream) applyMarker(en *edgestore.Entry, o *outcome) error {
	flags, seq, blob, err := readMarker(en.Data)
	if err != nil {
		return err
	}
	m, err := s.incoming(en, flags, blob)
	if err != nil {
		return err
	}
	st, ok, err := s.subjectOf(m)
	if err != nil {
		return err
	}
	if !s.wounded && (!ok || st.Last != seq) {
		o.err = errWrongLastSequence.With("wrong last sequence: %d", st.Last)
		return nil
	}
	return s.put(s.config(), m, o)
}

func (s *stream) applyExpire(data []byte) error {
	x, err := readExpiry(data)
	if err != nil {
		return err
	}
	s.expiring.Store(false)
	limit := int(min(x.limit, math.MaxInt32))
	var due []uint64
	if x.tick != 0 {
		due = s.expiries.due(x.tick, limit)
	}
	going, err := s.describe(due)
	if err != nil {
		return err
	}
	var aged []edgestore.Removal
	agedUpTo := s.agedUpTo
	if x.cutoff != 0 {
		to, err := s.seqAt(x.cutoff)
		if err != nil {
			return err
		}
		if x.below != 0 {
			to = min(to, x.below)
		}
		if s.expiries == nil || !s.expiries.nevers {
			err = s.compact(to)
		} else {
			aged, agedUpTo, err = s.aboveAge(x.above, to, x.limit, due)
		}
		if err != nil {
			return err
		}
	}
	// From here on nothing is read.
	if x.tick != 0 {
		s.expiries.take(x.tick, limit)
	}
	s.dropExpired(going)
	s.dropExpired(aged)
	s.agedUpTo = agedUpTo
	return nil
}

// aboveAge lists what is between two sequences, but for messages that live for
// ever and those that are due anyhow. It looks at a limited number, and tells how
// far it came.
func (s *stream) aboveAge(from, to, limit uint64, due []uint64) (list []edgestore.Removal, upTo uint64, err error) {
	from = max(s.store.Index().FirstSeq, from)
	dueToo := make(map[uint64]bool, len(due))
	for _, seq := range due {
		dueToo[seq] = true
	}
	var buf []byte
	for n := uint64(0); n < limit; {
		var m edgestore.Msg
		none := false
		err := s.read(func(st edgestore.Reads) (err error) {
			m, buf, err = st.LoadNext(nil, from, buf)
			if none = errors.Is(err, edgestore.ErrNotFound); none {
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, 0, err // and what was not looked at does not count as looked at
		}
		if none || m.Seq >= to {
			return list, max(from, to), nil
		}
		from = m.Seq + 1
		if dueToo[m.Seq] {
			continue
		}
		n++
		if ttlOf(m.Header) != ttlNever {
			list = append(list, edgestore.Removal{Seq: m.Seq, Size: s.sizeOf(&m), Subject: m.Subject})
		}
	}
	return list, from, nil
}

// dropExpired drops messages, as far as they are still there.
func (s *stream) dropExpired(list []edgestore.Removal) {
	for i := range list {
		if s.store.Drop(list[i:i+1]) > 0 {
			s.consumers.removed(list[i].Seq, list[i].Subject, eventRemoved)
		}
	}
}
