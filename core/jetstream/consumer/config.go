package consumer

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// Config is the configuration of a consumer, as it stands in requests, answers
// and operations. The order of the fields is the order on the wire.
type Config struct {
	Durable         string            `json:"durable_name,omitempty"`
	Name            string            `json:"name,omitempty"`
	Description     string            `json:"description,omitempty"`
	DeliverPolicy   DeliverPolicy     `json:"deliver_policy"`
	OptStartSeq     uint64            `json:"opt_start_seq,omitempty"`
	OptStartTime    *time.Time        `json:"opt_start_time,omitempty"`
	AckPolicy       AckPolicy         `json:"ack_policy"`
	AckWait         time.Duration     `json:"ack_wait,omitempty"`
	MaxDeliver      int               `json:"max_deliver,omitempty"`
	BackOff         []time.Duration   `json:"backoff,omitempty"`
	FilterSubject   string            `json:"filter_subject,omitempty"`
	FilterSubjects  []string          `json:"filter_subjects,omitempty"`
	ReplayPolicy    ReplayPolicy      `json:"replay_policy"`
	RateLimit       uint64            `json:"rate_limit_bps,omitempty"`
	SampleFrequency string            `json:"sample_freq,omitempty"`
	MaxWaiting      int               `json:"max_waiting,omitempty"`
	MaxAckPending   int               `json:"max_ack_pending,omitempty"`
	FlowControl     bool              `json:"flow_control,omitempty"`
	HeadersOnly     bool              `json:"headers_only,omitempty"`
	MaxRequestBatch int               `json:"max_batch,omitempty"`
	MaxExpires      time.Duration     `json:"max_expires,omitempty"`
	MaxRequestBytes int               `json:"max_bytes,omitempty"`
	DeliverSubject  string            `json:"deliver_subject,omitempty"`
	DeliverGroup    string            `json:"deliver_group,omitempty"`
	Heartbeat       time.Duration     `json:"idle_heartbeat,omitempty"`
	Inactive        time.Duration     `json:"inactive_threshold,omitempty"`
	Replicas        int               `json:"num_replicas"`
	MemoryStorage   bool              `json:"mem_storage,omitempty"`
	Direct          bool              `json:"direct,omitempty"`
	Sourcing        bool              `json:"sourcing,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	PauseUntil      *time.Time        `json:"pause_until,omitempty"`
	PriorityGroups  []string          `json:"priority_groups,omitempty"`
	PriorityPolicy  PriorityPolicy    `json:"priority_policy,omitempty"`
	PriorityTimeout time.Duration     `json:"priority_timeout,omitempty"`
}

// Pull reports whether messages are asked for with requests.
func (c *Config) Pull() bool { return c.DeliverSubject == "" }

// Feeds reports whether the consumer was made for a mirror or a source, with
// heartbeats.
func (c *Config) Feeds() bool {
	return (c.Direct || c.Sourcing || c.AckPolicy == AckFlowControl) && c.Heartbeat > 0
}

// Filters lists the filters; none means every message of the stream.
func (c *Config) Filters() []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// Paused reports whether the consumer is paused at now.
func (c *Config) Paused(now int64) bool {
	return c.PauseUntil != nil && now < c.PauseUntil.UnixNano()
}

// Clone is deep enough that changing the copy leaves the original alone.
func (c *Config) Clone() *Config {
	d := *c
	d.BackOff = slices.Clone(c.BackOff)
	d.FilterSubjects = slices.Clone(c.FilterSubjects)
	d.PriorityGroups = slices.Clone(c.PriorityGroups)
	d.Metadata = maps.Clone(c.Metadata)
	if c.OptStartTime != nil {
		t := *c.OptStartTime
		d.OptStartTime = &t
	}
	if c.PauseUntil != nil {
		t := *c.PauseUntil
		d.PauseUntil = &t
	}
	return &d
}

// Equal compares what two configurations ask for. Metadata that servers write
// and the pause, which a create request can't change, are left out.
func Equal(a, b *Config) bool { return reflect.DeepEqual(a.comparable(), b.comparable()) }

func (c *Config) comparable() *Config {
	d := c.Clone()
	DropServerKeys(d.Metadata)
	if len(d.Metadata) == 0 {
		d.Metadata = nil
	}
	if len(d.BackOff) == 0 {
		d.BackOff = nil
	}
	if len(d.FilterSubjects) == 0 {
		d.FilterSubjects = nil
	}
	if len(d.PriorityGroups) == 0 {
		d.PriorityGroups = nil
	}
	if d.OptStartTime != nil {
		t := d.OptStartTime.UTC().Round(0)
		d.OptStartTime = &t
	}
	d.PauseUntil = nil
	return d
}

// RequiredLevel is the lowest level of the API that can host the consumer.
func (c *Config) RequiredLevel() int {
	switch {
	case c.AckPolicy == AckFlowControl:
		return 4
	case c.PauseUntil != nil, c.PriorityPolicy != PriorityNone, len(c.PriorityGroups) > 0, c.PriorityTimeout != 0:
		return 1
	}
	return 0
}

// StampLevel writes the required level into the metadata and takes out what
// only answers carry.
func (c *Config) StampLevel() { c.Metadata = StampLevel(c.Metadata, c.RequiredLevel()) }
