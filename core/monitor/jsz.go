package monitor

import (
	"math"
	"slices"
	"time"
)

// Jsz is /jsz: JetStream, and on request its accounts, streams and consumers.
type Jsz struct {
	JetStreamStats
	ID           string           `json:"server_id"`
	Now          time.Time        `json:"now"`
	Disabled     bool             `json:"disabled,omitempty"`
	Config       JetStreamConfig  `json:"config"`
	Limits       *JetStreamLimits `json:"limits,omitempty"`
	Streams      int              `json:"streams"`
	LedStreams   int              `json:"streams_leader,omitempty"` // with raft: this server leads all
	Consumers    int              `json:"consumers"`
	LedConsumers int              `json:"consumers_leader,omitempty"` // same
	Messages     uint64           `json:"messages"`
	Bytes        uint64           `json:"bytes"`
	Accounts     []*JszAccount    `json:"account_details,omitempty"`
	Total        int              `json:"total"` // accounts with JetStream
}

// JszAccount is an account with JetStream.
type JszAccount struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	JetStreamStats
	Streams []JszStream `json:"stream_detail,omitempty"`
}

// JszStream is a stream. Its parts are those of answers of the JetStream API, which
// this room does not know.
type JszStream struct {
	Name      string      `json:"name"`
	Created   time.Time   `json:"created"`
	Cluster   *JszCluster `json:"cluster,omitempty"`
	Config    any         `json:"config,omitempty"`
	State     any         `json:"state,omitempty"`
	Consumers []any       `json:"consumer_detail,omitempty"`
	Mirror    any         `json:"mirror,omitempty"`
	Sources   any         `json:"sources,omitempty"`
}

// JszCluster says who leads.
type JszCluster struct {
	Leader string `json:"leader,omitempty"`
}

// JszOptions is what was asked. The JSON form is the body of the request on $SYS.
type JszOptions struct {
	Account          string `json:"account"`
	Accounts         bool   `json:"accounts"`
	Streams          bool   `json:"streams"`
	Consumer         bool   `json:"consumer"`
	DirectConsumer   bool   `json:"direct_consumer"`
	Config           bool   `json:"config"`
	LeaderOnly       bool   `json:"leader_only"`
	Offset           int    `json:"offset"`
	Limit            int    `json:"limit"`
	RaftGroups       bool   `json:"raft"`
	StreamLeaderOnly bool   `json:"stream_leader_only"`
}

// Normal is o with what one thing that is asked for says of others.
func (o JszOptions) Normal() JszOptions {
	o.Streams = o.Streams || o.Consumer || o.DirectConsumer
	o.Accounts = o.Accounts || o.Streams
	if o.Limit <= 0 {
		o.Limit = DefaultPage
	}
	o.Offset = max(o.Offset, 0)
	return o
}

// Page leaves of list, by name, the accounts that o asks for; one that is named stands
// on no page.
func (o *JszOptions) Page(list []*JszAccount) []*JszAccount {
	if o.Account != "" {
		return slices.DeleteFunc(list, func(a *JszAccount) bool { return a.ID != o.Account })
	}
	if !o.Accounts || o.Offset >= len(list) {
		return nil
	}
	return list[o.Offset:min(o.Offset+o.Limit, len(list))]
}

// Reserved is how an account's limit of bytes is shown; below 0 there is none.
func Reserved(limit int64) uint64 {
	if limit < 0 {
		return math.MaxUint64
	}
	return uint64(limit)
}
