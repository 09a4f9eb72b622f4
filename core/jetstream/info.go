package jetstream

import (
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/edgestore"
)

// maxLost bounds how many lost sequences an answer lists.
const maxLost = 1024

func (s *stream) state() api.StreamState {
	s.mu.RLock()
	st, err := s.store.Hot().Readable() // what a get has just found lost counts no more
	if err != nil {
		s.mu.RUnlock()
		read, _ := s.store.Readable()
		s.mu.RLock()
		if st, err = s.store.Hot().Readable(); err != nil {
			st = read // of a moment ago
		}
	}
	defer s.mu.RUnlock()
	out := api.StreamState{
		Msgs: st.Msgs, Bytes: st.Bytes,
		FirstSeq: st.FirstSeq, FirstTime: s.shownTime(st.FirstSeq, st.FirstTime),
		LastSeq: st.LastSeq, LastTime: s.shownTime(st.LastSeq, st.LastTime),
		NumSubjects: st.NumSubjects, NumDeleted: st.NumDeleted,
		Consumers: s.consumers.count(),
	}
	if st.Msgs == 0 {
		out.FirstTime = time.Time{}
	}
	lost := s.store.Damage()
	if owes := s.counted(); owes > s.last {
		lost = append(lost, edgestore.SeqRange{First: s.last + 1, Last: owes})
		out.LastSeq = owes
	}
	if out.LastSeq == 0 {
		out.FirstSeq = 0 // nothing was ever stored
	}
	if len(lost) > 0 {
		out.Lost = lostOf(lost)
	}
	return out
}

func lostOf(ranges []edgestore.SeqRange) *api.LostState {
	l := new(api.LostState)
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last && len(l.Msgs) < maxLost; seq++ {
			l.Msgs = append(l.Msgs, seq)
		}
	}
	return l
}

// shownTime is shown for times; it keeps the zero time the zero time.
func (s *stream) shownTime(seq uint64, t time.Time) time.Time {
	if t.IsZero() || t.UnixNano() == 0 {
		return time.Time{}
	}
	return atTime(s.shown(seq, t.UnixNano()))
}

// Info is part of api.Stream.
func (s *stream) Info() *api.StreamInfo {
	cfg := *s.config()
	mirror, sources := s.origins.Infos()
	return &api.StreamInfo{
		Config:  &cfg,
		Created: atTime(s.created),
		State:   s.state(),
		Mirror:  mirror,
		Sources: sources,
		At:      s.line.wallNow(),
	}
}

// Info is part of api.Consumer.
func (m *member) Info() *api.ConsumerInfo {
	pubs := new(publishers)
	now := m.enter(pubs)
	if m.role == leader {
		m.log(now)
	}
	i := m.m.Info(now.timer())
	cfg := m.cfg.Clone()
	m.mu.Unlock()
	pubs.flush()
	m.e.work.schedule(m)
	out := &api.ConsumerInfo{
		Stream:         m.s.name,
		Name:           m.name,
		Created:        atTime(m.created),
		Config:         cfg,
		Delivered:      api.SequenceInfo{SeqPair: i.Delivered, Last: optionalTime(m.s.line.timerWall(i.DeliveredAt))},
		AckFloor:       api.SequenceInfo{SeqPair: i.AckFloor, Last: optionalTime(m.s.line.timerWall(i.AckedAt))},
		NumAckPending:  i.NumAckPending,
		NumRedelivered: i.NumRedelivered,
		NumWaiting:     i.NumWaiting,
		NumPending:     i.NumPending,
		PushBound:      i.PushBound,
		Paused:         i.Paused,
		PauseRemaining: i.PauseRemaining,
		At:             m.s.line.wallNow(),
	}
	if i.Pin != nil {
		out.Groups = []api.ConsumerPriority{{Group: i.Pin.Group, Pinned: i.Pin.ID, PinnedAt: m.s.line.timerWall(i.Pin.At)}}
	}
	return out
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
