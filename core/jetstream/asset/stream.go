package asset

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

// StreamConfig is the configuration of a stream, as it stands in requests,
// answers and operations. The order of the fields is the order on the wire.
type StreamConfig struct {
	Name                   string            `json:"name"`
	Description            string            `json:"description,omitempty"`
	Subjects               []string          `json:"subjects,omitempty"`
	Retention              Retention         `json:"retention"`
	MaxConsumers           int               `json:"max_consumers"`
	MaxMsgs                int64             `json:"max_msgs"`
	MaxBytes               int64             `json:"max_bytes"`
	MaxAge                 time.Duration     `json:"max_age"`
	MaxMsgsPer             int64             `json:"max_msgs_per_subject"`
	MaxMsgSize             int32             `json:"max_msg_size,omitempty"`
	Discard                Discard           `json:"discard"`
	Storage                Storage           `json:"storage"`
	Replicas               int               `json:"num_replicas"`
	NoAck                  bool              `json:"no_ack,omitempty"`
	Duplicates             time.Duration     `json:"duplicate_window,omitempty"`
	Placement              *Placement        `json:"placement,omitempty"`
	Mirror                 *StreamSource     `json:"mirror,omitempty"`
	Sources                []*StreamSource   `json:"sources,omitempty"`
	Compression            Compression       `json:"compression"`
	FirstSeq               uint64            `json:"first_seq,omitempty"`
	SubjectTransform       *SubjectTransform `json:"subject_transform,omitempty"`
	Republish              *Republish        `json:"republish,omitempty"`
	AllowDirect            bool              `json:"allow_direct"`
	MirrorDirect           bool              `json:"mirror_direct"`
	DiscardNewPer          bool              `json:"discard_new_per_subject,omitempty"`
	Sealed                 bool              `json:"sealed"`
	DenyDelete             bool              `json:"deny_delete"`
	DenyPurge              bool              `json:"deny_purge"`
	AllowRollup            bool              `json:"allow_rollup_hdrs"`
	ConsumerLimits         ConsumerLimits    `json:"consumer_limits"`
	AllowMsgTTL            bool              `json:"allow_msg_ttl"`
	SubjectDeleteMarkerTTL time.Duration     `json:"subject_delete_marker_ttl,omitempty"`
	AllowMsgCounter        bool              `json:"allow_msg_counter,omitempty"`
	AllowAtomic            bool              `json:"allow_atomic,omitempty"`
	AllowMsgSchedules      bool              `json:"allow_msg_schedules,omitempty"`
	PersistMode            PersistMode       `json:"persist_mode,omitempty"`
	AllowBatched           bool              `json:"allow_batched,omitempty"`
	Metadata               map[string]string `json:"metadata,omitempty"`
}

// StreamConfigRequest is the body of STREAM.CREATE and STREAM.UPDATE.
type StreamConfigRequest struct {
	StreamConfig
	// Pedantic asks for an error where values would be adjusted.
	Pedantic bool `json:"pedantic,omitempty"`
}

// Placement says where in a cluster a stream is to be.
type Placement struct {
	Cluster   string   `json:"cluster,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	Preferred string   `json:"preferred,omitempty"`
}

// StreamSource names another stream that this one mirrors or copies from.
type StreamSource struct {
	Name              string             `json:"name"`
	OptStartSeq       uint64             `json:"opt_start_seq,omitempty"`
	OptStartTime      *time.Time         `json:"opt_start_time,omitempty"`
	FilterSubject     string             `json:"filter_subject,omitempty"`
	SubjectTransforms []SubjectTransform `json:"subject_transforms,omitempty"`
	External          *ExternalStream    `json:"external,omitempty"`
	Consumer          *SourceConsumer    `json:"consumer,omitempty"`
}

// ExternalStream says where a stream of another domain or account is reached.
type ExternalStream struct {
	APIPrefix     string `json:"api"`
	DeliverPrefix string `json:"deliver"`
}

// SourceConsumer names a consumer that was made at the origin beforehand.
type SourceConsumer struct {
	Name           string `json:"name,omitempty"`
	DeliverSubject string `json:"deliver_subject,omitempty"`
}

// SubjectTransform gives what matches Source another subject. An empty Source is
// everything.
type SubjectTransform struct {
	Source      string `json:"src"`
	Destination string `json:"dest"`
}

// Republish says where what was stored is sent on to.
type Republish struct {
	Source      string `json:"src,omitempty"`
	Destination string `json:"dest"`
	HeadersOnly bool   `json:"headers_only,omitempty"`
}

// ConsumerLimits bound the consumers of a stream; 0 is no bound.
type ConsumerLimits struct {
	InactiveThreshold time.Duration `json:"inactive_threshold,omitempty"`
	MaxAckPending     int           `json:"max_ack_pending,omitempty"`
}

// The choices of a configuration: numbers here, names in JSON.
type (
	Retention   uint8
	Discard     uint8
	Storage     uint8
	Compression uint8
	PersistMode uint8
)

// What a stream keeps: all within its limits, what a consumer is interested in
// and has not acknowledged, or what no consumer has acknowledged.
const (
	LimitsRetention Retention = iota
	InterestRetention
	WorkQueueRetention
)

// What gives way where a limit is reached.
const (
	DiscardOld Discard = iota
	DiscardNew
)

// Where messages are.
const (
	FileStorage Storage = iota
	MemoryStorage
)

// How messages are packed.
const (
	NoCompression Compression = iota
	S2Compression
)

// When a message counts as stored.
const (
	PersistDefault PersistMode = iota
	PersistAsync
)

func retentionNames() []string   { return []string{"limits", "interest", "workqueue"} }
func discardNames() []string     { return []string{"old", "new"} }
func storageNames() []string     { return []string{"file", "memory"} }
func compressionNames() []string { return []string{"none", "s2"} }
func persistModeNames() []string { return []string{"default", "async"} }

func (r Retention) MarshalJSON() ([]byte, error)   { return marshalName(retentionNames(), int(r)) }
func (d Discard) MarshalJSON() ([]byte, error)     { return marshalName(discardNames(), int(d)) }
func (s Storage) MarshalJSON() ([]byte, error)     { return marshalName(storageNames(), int(s)) }
func (c Compression) MarshalJSON() ([]byte, error) { return marshalName(compressionNames(), int(c)) }
func (p PersistMode) MarshalJSON() ([]byte, error) { return marshalName(persistModeNames(), int(p)) }

func (r *Retention) UnmarshalJSON(b []byte) error {
	n, ok := unmarshalName(retentionNames(), string(b))
	*r = Retention(n)
	return nameError(ok, b)
}

func (d *Discard) UnmarshalJSON(b []byte) error {
	n, ok := unmarshalName(discardNames(), strings.ToLower(string(b)))
	*d = Discard(n)
	return nameError(ok, b)
}

func (s *Storage) UnmarshalJSON(b []byte) error {
	n, ok := unmarshalName(storageNames(), string(b))
	*s = Storage(n)
	return nameError(ok, b)
}

func (p *PersistMode) UnmarshalJSON(b []byte) error {
	if string(b) == `""` {
		*p = PersistDefault
		return nil
	}
	n, ok := unmarshalName(persistModeNames(), string(b))
	*p = PersistMode(n)
	return nameError(ok, b)
}

func (c *Compression) UnmarshalJSON(b []byte) error {
	n, ok := unmarshalName(compressionNames(), string(b))
	*c = Compression(n)
	if !ok {
		return fmt.Errorf("unknown compression algorithm")
	}
	return nil
}

func marshalName(names []string, n int) ([]byte, error) {
	if n >= len(names) {
		return nil, fmt.Errorf("can not marshal %d", n)
	}
	return strconv.AppendQuote(nil, names[n]), nil
}

func unmarshalName(names []string, quoted string) (int, bool) {
	for n, name := range names {
		if quoted == `"`+name+`"` {
			return n, true
		}
	}
	return 0, false
}

func nameError(ok bool, b []byte) error {
	if ok {
		return nil
	}
	return fmt.Errorf("can not unmarshal %q", b)
}

// Clone is a copy, deep enough that changing the copy leaves the original alone.
func (c *StreamConfig) Clone() *StreamConfig {
	d := *c
	d.Subjects = slices.Clone(c.Subjects)
	d.Sources = slices.Clone(c.Sources)
	d.Metadata = maps.Clone(c.Metadata)
	return &d
}

// stampLevel writes the lowest API level that can host the stream into its
// metadata and takes out what only answers carry.
func (c *StreamConfig) stampLevel() {
	c.Metadata = consumer.StampLevel(c.Metadata, c.requiredLevel())
}

func (c *StreamConfig) requiredLevel() int {
	level := 0
	if c.AllowMsgTTL || c.SubjectDeleteMarkerTTL > 0 {
		level = 1
	}
	if c.AllowMsgCounter || c.AllowAtomic || c.AllowMsgSchedules || c.PersistMode == PersistAsync {
		level = 2
	}
	if c.AllowBatched {
		level = 4
	}
	return level
}

// Equal compares what two configurations say, leaving out metadata that
// belongs to servers.
func Equal(a, b *StreamConfig) bool {
	x, y := a.Clone(), b.Clone()
	for _, c := range []*StreamConfig{x, y} {
		consumer.DropServerKeys(c.Metadata)
		if len(c.Metadata) == 0 {
			c.Metadata = nil
		}
		if len(c.Subjects) == 0 {
			c.Subjects = nil
		}
		if len(c.Sources) == 0 {
			c.Sources = nil
		}
	}
	return reflect.DeepEqual(x, y)
}

// Encode is a configuration as JSON, as operations and catalogues keep it.
func Encode(c *StreamConfig) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		// Every field is of a type that marshals, and the enumerations were
		// checked when they were read.
		panic("asset: stream config does not marshal: " + err.Error())
	}
	return b
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*StreamConfig, error) {
	var c StreamConfig
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("stream config: %w", err)
	}
	return &c, nil
}
