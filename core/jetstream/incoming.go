package jetstream

import (
	"fmt"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// incoming is a message about to be stored.
type incoming struct {
	edgestore.Msg
	flags uint8
	id    []byte // Nats-Msg-Id, nil for none
	at    edgestore.Location
	stamp edgestore.Stamp
	// foreign: Time is that of the origin of a mirror.
	foreign bool
	// sub is its subject before it, once that was looked at.
	sub              edgestore.SubjectState
	looked, subKnown bool
	// out is what it pushes out.
	out eviction
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
	names, m := &s.subjects, s.in
	if r := s.e.replay; r != nil {
		names, m = &r.names, &r.in
	} else if m == nil {
		m = new(incoming)
		s.in = m
	}
	*m = incoming{out: eviction{list: m.out.list[:0]}}
	m.flags, m.stamp = flags, en.Stamp
	// Two that were stamped at once may be in the log the other way round.
	m.Time = max(en.Stamp.Wall, s.newest)
	m.Subject, m.Header, m.Body = names.get(subj), header, body
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
		return apierror.ErrStreamSealed
	}
	if m.flags != 0 && !s.wounded {
		if err := s.checkHeaders(cfg, m, o); err != nil || o.dup {
			return err
		}
	}
	return s.put(cfg, m, o)
}

// put stores m, as the next message unless it has a sequence, and then makes
// room as the limits say.
func (s *stream) put(cfg *asset.StreamConfig, m *incoming, o *outcome) error {
	if m.Seq == 0 {
		m.Seq = s.last + 1
	}
	if m.Seq > asset.MaxSeq {
		return errStoreFailed.With("no sequence is left")
	}
	if !s.wounded && cfg.Retention == asset.InterestRetention && !s.consumers.interested(m.Subject) {
		s.pass(m, o)
		return nil
	}
	rollup := rollupNone
	if m.flags&flagRollup != 0 {
		rollup = rollupOf(m.Header)
	}
	if cfg.Discard == asset.DiscardNew && !s.wounded {
		if err := s.checkRoom(cfg, m, rollup != rollupNone); err != nil {
			return err
		}
	}
	if err := s.planRoom(cfg, m, rollup); err != nil {
		return err
	}
	if s.view.Load().republish != nil {
		st, _, err := s.subjectOf(m)
		if err != nil {
			return err
		}
		o.prev = st.Last
	}
	// From here on nothing is read.
	if err := s.clearFor(m, rollup); err != nil {
		return s.fail(err)
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
		s.setLastMsgID(m.id)
	} else if len(s.lastMsgID) > 0 {
		s.setLastMsgID(nil)
	}
	s.consumers.stored(m.Seq, m.Subject)
	return s.makeRoom(m, rollup)
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

func (s *stream) setLastMsgID(id []byte) {
	s.lastMsgID = append(s.lastMsgID[:0], id...)
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
		if err := s.forgo(from.seq - 1); err != nil {
			return err
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
var errOriginGap = errStoreFailed.With("the message before it was not stored")
