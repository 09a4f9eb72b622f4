package api

import (
	"time"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
)

// StreamInfo is a stream as answers show it. The order of the fields is the
// order on the wire, here and in all answers.
type StreamInfo struct {
	Config  *asset.StreamConfig `json:"config"`
	Created time.Time           `json:"created"`
	State   StreamState         `json:"state"`
	Domain  string              `json:"domain,omitempty"`
	Cluster *ClusterInfo        `json:"cluster,omitempty"`
	Mirror  *SourceInfo         `json:"mirror,omitempty"`
	Sources []*SourceInfo       `json:"sources,omitempty"`
	At      time.Time           `json:"ts"`
}

// ClusterInfo names the server that has the stream.
type ClusterInfo struct {
	Leader string `json:"leader,omitempty"`
}

// SourceInfo tells how far a mirror or a source is.
type SourceInfo struct {
	Name              string                   `json:"name"`
	External          *asset.ExternalStream    `json:"external,omitempty"`
	Lag               uint64                   `json:"lag"`
	Seq               uint64                   `json:"seq,omitempty"` // of the origin, newest that is stored here
	Active            time.Duration            `json:"active"`
	Error             *apierror.Error          `json:"error,omitempty"`
	FilterSubject     string                   `json:"filter_subject,omitempty"`
	SubjectTransforms []asset.SubjectTransform `json:"subject_transforms,omitempty"`
	Lost              *LostInfo                `json:"lost_on_the_way,omitempty"` // nats-server has none
}

// LostInfo are messages of an origin that can not come here: no link on the way
// carries them.
type LostInfo struct {
	Msgs uint64 `json:"messages"`
	// LastSeq is the last one's at the origin, 0 when that was made anew since.
	LastSeq uint64 `json:"last_seq"`
	Reason  string `json:"reason"` // of the last one
}

// StreamState is what is in a stream.
type StreamState struct {
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
	Lost        *LostState        `json:"lost,omitempty"`
	Consumers   int               `json:"consumer_count"`
}

// LostState lists sequences that the disk lost; at most the first of them.
type LostState struct {
	Msgs  []uint64 `json:"msgs"`
	Bytes uint64   `json:"bytes"`
}

// ConsumerInfo is a consumer as answers show it.
type ConsumerInfo struct {
	Stream         string             `json:"stream_name"`
	Name           string             `json:"name"`
	Created        time.Time          `json:"created"`
	Config         *consumer.Config   `json:"config,omitempty"`
	Delivered      SequenceInfo       `json:"delivered"`
	AckFloor       SequenceInfo       `json:"ack_floor"`
	NumAckPending  int                `json:"num_ack_pending"`
	NumRedelivered int                `json:"num_redelivered"`
	NumWaiting     int                `json:"num_waiting"`
	NumPending     uint64             `json:"num_pending"`
	PushBound      bool               `json:"push_bound,omitempty"`
	Paused         bool               `json:"paused,omitempty"`
	PauseRemaining time.Duration      `json:"pause_remaining,omitempty"`
	At             time.Time          `json:"ts"`
	Groups         []ConsumerPriority `json:"priority_groups,omitempty"`
}

// SequenceInfo is a place in a stream, as a consumer and as the stream counts, and
// when it was last moved.
type SequenceInfo struct {
	consumer.SeqPair
	Last *time.Time `json:"last_active,omitempty"`
}

// ConsumerPriority is who a pinned consumer delivers to.
type ConsumerPriority struct {
	Group    string    `json:"group"`
	Pinned   string    `json:"pinned_client_id,omitempty"`
	PinnedAt time.Time `json:"pinned_ts,omitempty"`
}

// response is the head of every answer.
type response struct {
	Type  string          `json:"type"`
	Error *apierror.Error `json:"error,omitempty"`
}

// paged are the members of answers that list.
type paged struct {
	Total  int `json:"total"`
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
}

type successResponse struct {
	response
	Success bool `json:"success,omitempty"`
}

// StoredMsg is a message as STREAM.MSG.GET answers it.
type StoredMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs,omitempty"`
	Data    []byte    `json:"data,omitempty"`
	Time    time.Time `json:"time"`
}
