package jetstream

import (
	"bytes"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/edgestore"
)

// Limits are what the server allows all streams together and each alone. The
// zero value of a field is no limit.
type Limits struct {
	MaxMemory, MaxStore int64 // bytes
	MaxStreams          int
	MaxConsumers        int
	// DefaultMaxConsumers holds for streams that do not say how many they may
	// have; below 0 is no limit either.
	DefaultMaxConsumers int
	MaxDuplicateWindow  time.Duration
	MaxAckPending       int
	MaxRequestBatch     int
	// MaxBuffered bounds what waits to be applied to memory streams.
	MaxBuffered int
}

// checkHeaders decides what depends on the stream's present state: duplicates
// and expectations. Sets o.dup and o.seq for a duplicate.
func (s *stream) checkHeaders(cfg *asset.StreamConfig, m *incoming, o *outcome) error {
	if m.flags&flagExpect != 0 {
		if err := s.checkLastSequences(m); err != nil {
			return err
		}
	}
	if m.id != nil {
		seq, known, err := s.seenID(m.id)
		if err != nil {
			return err
		}
		if known {
			o.seq, o.dup = seq, true
			return nil
		}
	}
	if m.flags&flagExpect != 0 {
		if id := wire.HeaderGet(m.Header, hdrExpectedLastMsgID); len(id) > 0 && !bytes.Equal(id, s.lastMsgID) {
			return errWrongLastMsgID.With("wrong last msg ID: %s", s.lastMsgID)
		}
	}
	if m.flags&flagRollup != 0 {
		r := rollupOf(m.Header)
		if r != rollupNone && (!cfg.AllowRollup || cfg.DenyPurge) {
			return errRollupFailed
		}
		if r == rollupInvalid {
			return errRollupFailed.With("rollup value invalid: %q", wire.HeaderGet(m.Header, hdrRollup))
		}
	}
	return nil
}

func (s *stream) checkLastSequences(m *incoming) error {
	want := wire.HeaderGet(m.Header, hdrExpectedLastSubjSeq)
	filter := wire.HeaderGet(m.Header, hdrExpectedLastSubjSeqSubj)
	if len(want) == 0 && len(filter) > 0 {
		return errLastSeqNoSequence
	}
	if len(want) > 0 {
		var have uint64
		if len(filter) > 0 {
			last, err := s.lastFor(string(filter))
			if err != nil {
				return err
			}
			have = last
		} else {
			st, _, err := s.subjectOf(m)
			if err != nil {
				return err
			}
			have = st.Last
		}
		if !equalSequence(want, have) {
			return errWrongLastSequence.With("wrong last sequence: %d", have)
		}
	}
	if want := wire.HeaderGet(m.Header, hdrExpectedLastSeq); len(want) > 0 && !equalSequence(want, s.last) {
		return errWrongLastSequence.With("wrong last sequence: %d", s.last)
	}
	return nil
}

func equalSequence(text []byte, seq uint64) bool {
	n, err := strconv.ParseUint(string(text), 10, 64)
	return err == nil && n == seq
}

// checkRoom decides whether a stream that discards new messages has room.
func (s *stream) checkRoom(cfg *asset.StreamConfig, m *incoming, rollup bool) error {
	var evicts bool // an older message of the subject will make room
	var sub edgestore.SubjectState
	if cfg.MaxMsgsPer > 0 {
		var err error
		if sub, _, err = s.subjectOf(m); err != nil {
			return err
		}
		full := sub.Msgs >= uint64(cfg.MaxMsgsPer)
		if full && cfg.DiscardNewPer && !rollup {
			return errStoreFailed.With("maximum messages per subject exceeded")
		}
		evicts = full && !cfg.DiscardNewPer
	}
	st := s.store.Index()
	if cfg.MaxMsgs > 0 && st.Msgs >= uint64(cfg.MaxMsgs) && !evicts {
		return errStoreFailed.With("maximum messages exceeded")
	}
	if size := s.sizeOf(&m.Msg); cfg.MaxBytes > 0 && st.Bytes+size > uint64(cfg.MaxBytes) {
		if evicts {
			if old, err := s.sizeAt(sub.First); err != nil || old >= size {
				return err
			}
		}
		return errStoreFailed.With("maximum bytes exceeded")
	}
	return nil
}

// memoryOverhead is what a message in memory counts beside its parts.
const memoryOverhead = 16

// sizeOf is what a message counts towards the stream's bytes.
func (s *stream) sizeOf(m *edgestore.Msg) uint64 {
	if s.memory {
		return uint64(memoryOverhead + len(m.Subject) + len(m.Header) + len(m.Body))
	}
	return m.Size()
}

// sizeAt is what a stored message counts, 0 if it is damaged. What is decided by
// it depends on no disk, see seenID.
func (s *stream) sizeAt(seq uint64) (uint64, error) {
	r, readable, err := s.from(seq)
	switch {
	case err != nil:
		return 0, err
	case readable && r.Seq == seq:
		return r.Size, nil
	}
	return 0, s.goByNotes()
}
