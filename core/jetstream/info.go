package jetstream

import (
	"maps"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/edgestore"
)

// streamInfo is a stream as answers show it. The order of the fields is the
// order on the wire, here and in all answers.
type streamInfo struct {
	Config  *asset.StreamConfig `json:"config"`
	Created time.Time           `json:"created"`
	State   streamState         `json:"state"`
	Domain  string              `json:"domain,omitempty"`
	Cluster *clusterInfo        `json:"cluster,omitempty"`
	Mirror  *sourceInfo         `json:"mirror,omitempty"`
	Sources []*sourceInfo       `json:"sources,omitempty"`
	At      time.Time           `json:"ts"`
}

type clusterInfo struct {
	Leader string `json:"leader,omitempty"`
}

// sourceInfo tells how far a mirror or a source is.
type sourceInfo struct {
	Name              string                   `json:"name"`
	External          *asset.ExternalStream    `json:"external,omitempty"`
	Lag               uint64                   `json:"lag"`
	Seq               uint64                   `json:"seq,omitempty"` // of the origin, newest that is stored here
	Active            time.Duration            `json:"active"`
	Error             *apierror.Error          `json:"error,omitempty"`
	FilterSubject     string                   `json:"filter_subject,omitempty"`
	SubjectTransforms []asset.SubjectTransform `json:"subject_transforms,omitempty"`
	Lost              *lostInfo                `json:"lost_on_the_way,omitempty"` // nats-server has none
}

// lostInfo are messages of an origin that can not come here: no link on the way
// carries them.
type lostInfo struct {
	Msgs uint64 `json:"messages"`
	// LastSeq is the last one's at the origin, 0 when that was made anew since.
	LastSeq uint64 `json:"last_seq"`
	Reason  string `json:"reason"` // of the last one
}

type streamState struct {
	Msgs        uint64            `json:"messages"`
	Bytes       uint64            `json:"bytes"`
	FirstSeq    uint64            `json:"first_seq"`
	FirstTime   time.Time         `json:"first_ts"`
	LastSeq     uint64            `json:"last_seq"`
	LastTime    time.Time         `json:"last_ts"`
	NumSubjects int               `json:"num_subjects,omitempty"`
	Subjects    map[string]uint64 `json:"subjects,omitempty"`
	NumDeleted  uint64            `json:"num_deleted,omitempty"`
	Deleted     []uint64          `json:"deleted,omitempty"`
	Lost        *lostState        `json:"lost,omitempty"`
	Consumers   int               `json:"consumer_count"`
}

type lostState struct {
	Msgs  []uint64 `json:"msgs"`
	Bytes uint64   `json:"bytes"`
}

// maxLost bounds how many lost sequences an answer lists.
const maxLost = 1024

func (s *stream) state() streamState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.store.State()
	out := streamState{
		Msgs: st.Msgs, Bytes: st.Bytes,
		FirstSeq: st.FirstSeq, FirstTime: s.shownTime(st.FirstSeq, st.FirstTime),
		LastSeq: st.LastSeq, LastTime: s.shownTime(st.LastSeq, st.LastTime),
		NumSubjects: st.NumSubjects, NumDeleted: st.NumDeleted,
		Consumers: s.consumers.count(),
	}
	if st.LastSeq == 0 {
		out.FirstSeq = 0 // nothing was ever stored
	}
	if st.Msgs == 0 {
		out.FirstTime = time.Time{}
	}
	if lost := s.store.Damage(); len(lost) > 0 {
		out.Lost = lostOf(lost)
	}
	return out
}

func lostOf(ranges []edgestore.SeqRange) *lostState {
	l := new(lostState)
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

// info gathers a stream's answer. dynamic adds the metadata that describes
// this server.
func (s *stream) info(dynamic bool) *streamInfo {
	cfg := *s.config()
	if dynamic {
		cfg.Metadata = s.e.withServer(cfg.Metadata)
	}
	mirror, sources := s.originInfos()
	return &streamInfo{
		Config:  &cfg,
		Created: atTime(s.created),
		State:   s.state(),
		Domain:  s.e.cfg.Domain,
		Mirror:  mirror,
		Sources: sources,
		At:      s.e.line.wallNow(),
	}
}

// withServer adds what only answers carry to stored metadata.
func (e *Engine) withServer(m map[string]string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]string, 2)
	}
	m[consumer.MetaServerLevel] = strconv.Itoa(e.cfg.APILevel)
	m[consumer.MetaServerVersion] = e.cfg.Version
	return m
}
