package jetstream

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
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

func (s *stream) checkLastSequences(m *incoming) *apierror.Error {
	want := wire.HeaderGet(m.Header, hdrExpectedLastSubjSeq)
	filter := wire.HeaderGet(m.Header, hdrExpectedLastSubjSeqSubj)
	if len(want) == 0 && len(filter) > 0 {
		return errLastSeqNoSequence
	}
	if len(want) > 0 {
		var have uint64
		if len(filter) > 0 {
			have = s.store.LastFor(string(filter))
		} else if st, ok := s.store.Subject(m.Subject); ok {
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
		sub, _ = s.store.Subject(m.Subject)
		full := sub.Msgs >= uint64(cfg.MaxMsgsPer)
		if full && cfg.DiscardNewPer && !rollup {
			return errStoreFailed.With("maximum messages per subject exceeded")
		}
		evicts = full && !cfg.DiscardNewPer
	}
	st := s.store.State()
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
	m, _, err := s.store.Load(seq, nil)
	switch {
	case err == nil:
		return s.sizeOf(&m), nil
	case !goneForGood(err):
		return 0, s.fail(err)
	}
	return 0, s.goByNotes()
}

// makeRoom drops what a new message on subject pushes out.
func (s *stream) makeRoom(cfg *asset.StreamConfig, subject string, r rollup) error {
	switch r {
	case rollupSubject:
		if err := s.purgeKeep(subject, 1); err != nil {
			return err
		}
	case rollupAll:
		if err := s.purgeKeep("", 1); err != nil {
			return err
		}
	}
	if cfg.MaxMsgsPer > 0 {
		for {
			sub, ok := s.store.Subject(subject)
			if !ok || sub.Msgs <= uint64(cfg.MaxMsgsPer) {
				break
			}
			if err := s.drop(sub.First, subject); err != nil {
				return err
			}
		}
	}
	if cfg.Discard == asset.DiscardOld {
		return s.dropOldest(cfg)
	}
	return nil
}

// dropOldest removes messages until the limits on the whole stream hold.
func (s *stream) dropOldest(cfg *asset.StreamConfig) error {
	if cfg.MaxMsgs <= 0 && cfg.MaxBytes <= 0 {
		return nil
	}
	for {
		st := s.store.State()
		tooMany := cfg.MaxMsgs > 0 && st.Msgs > uint64(cfg.MaxMsgs)
		tooMuch := cfg.MaxBytes > 0 && st.Bytes > uint64(cfg.MaxBytes)
		if st.Msgs == 0 || !tooMany && !tooMuch {
			return nil
		}
		if err := s.drop(st.FirstSeq, ""); err != nil {
			return err
		}
	}
}

// drop removes one message by a limit; without a subject it is the first of
// the stream.
func (s *stream) drop(seq uint64, subject string) error {
	_, ok, err := s.store.Remove(seq)
	if err != nil {
		return s.fail(err)
	}
	if !ok {
		return s.dropLost(seq)
	}
	if subject == "" {
		s.consumers.compacted()
	} else {
		s.consumers.removed(seq, subject, eventRemoved)
	}
	return nil
}

// dropLost is for a message that is counted and not there. It is booked as lost,
// so that the limits go on; one such message must not stop a stream.
func (s *stream) dropLost(seq uint64) error {
	n, err := s.store.Lose(seq, seq)
	if err != nil {
		return s.fail(err)
	}
	if n == 0 {
		// Nothing changes it: the loop that drops would not end. The limit is not
		// kept to until the next message, and somebody should know.
		return fmt.Errorf("message %d of stream %q is counted and not there", seq, s.name)
	}
	s.consumers.purged("")
	s.tellDamage()
	return nil
}

func (s *stream) purgeKeep(filter string, keep uint64) error {
	n, err := s.store.Purge(filter, 0, keep)
	if err != nil {
		return s.fail(err)
	}
	if n > 0 {
		s.consumers.purged(filter)
	}
	return nil
}

// tighten enforces limits that an update lowered.
func (s *stream) tighten(old, cfg *asset.StreamConfig) error {
	if cfg.MaxMsgsPer > 0 && (old.MaxMsgsPer <= 0 || cfg.MaxMsgsPer < old.MaxMsgsPer) {
		var over []string
		s.store.Subjects(">", func(subject string, st edgestore.SubjectState) bool {
			if st.Msgs > uint64(cfg.MaxMsgsPer) {
				over = append(over, subject)
			}
			return true
		})
		slices.Sort(over)
		for _, subject := range over {
			if err := s.purgeKeep(subject, uint64(cfg.MaxMsgsPer)); err != nil {
				return err
			}
		}
	}
	if cfg.Discard == asset.DiscardOld {
		return s.dropOldest(cfg)
	}
	return nil
}
