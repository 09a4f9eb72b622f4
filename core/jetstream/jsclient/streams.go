package jsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
)

// StreamConfig is the configuration of a stream. Of limits 0 is none, times are
// durations, sizes bytes.
type StreamConfig = asset.StreamConfig

// StreamSource is where a stream copies from, ExternalStream the way there.
type (
	StreamSource   = asset.StreamSource
	ExternalStream = asset.ExternalStream
)

// StreamInfo is a stream as it was when it was asked.
type StreamInfo struct {
	Config  StreamConfig `json:"config"` // with what the server filled in
	Created time.Time    `json:"created"`
	State   StreamState  `json:"state"`
	Domain  string       `json:"domain"`

	raw map[string]json.RawMessage // the configuration as it came
}

// StreamState is what is in a stream.
type StreamState struct {
	Msgs       uint64    `json:"messages"`
	Bytes      uint64    `json:"bytes"`
	FirstSeq   uint64    `json:"first_seq"`
	FirstTime  time.Time `json:"first_ts"`
	LastSeq    uint64    `json:"last_seq"`
	LastTime   time.Time `json:"last_ts"`
	Subjects   int       `json:"num_subjects"` // how many there are
	NumDeleted uint64    `json:"num_deleted"`
	Consumers  int       `json:"consumer_count"`
}

// StreamInfoSubject is where a stream is asked about in a domain; ReadStreamInfo
// reads the answer. They are for who asks many domains at once; else use Info.
func StreamInfoSubject(domain, stream string) string {
	return "$JS." + domain + ".API.STREAM.INFO." + stream
}

// ReadStreamInfo reads an answer about a stream; one that says an error is that
// error.
func ReadStreamInfo(body []byte) (*StreamInfo, error) {
	i := new(StreamInfo)
	var raw struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := readAnswer(body, i); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	i.raw = raw.Config
	return i, nil
}

// streamAnswer is a StreamInfo as request reads it.
type streamAnswer struct{ *StreamInfo }

func (a *streamAnswer) UnmarshalJSON(b []byte) (err error) {
	a.StreamInfo, err = ReadStreamInfo(b)
	return err
}

func (c *Client) stream(ctx context.Context, verb, name string, in any) (*StreamInfo, error) {
	if err := checkName("stream", name); err != nil {
		return nil, err
	}
	var a streamAnswer
	if err := c.request(ctx, "STREAM."+verb+"."+name, in, &a); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.mu.direct[name] = a.Config.AllowDirect
	c.mu.Unlock()
	return a.StreamInfo, nil
}

// Info asks about a stream. Errors: ErrStreamNotFound.
func (c *Client) Info(ctx context.Context, stream string) (*StreamInfo, error) {
	return c.stream(ctx, "INFO", stream, nil)
}

// ensureTries bounds how often Ensure and others race for a stream.
const ensureTries = 5

// Ensure makes the stream, or makes it what cfg says. Whoever else does so at the
// same time with the same cfg gets the same stream. What cfg leaves to the server
// stays as it is: replicas, placement, the duplicate window and the largest message
// when they are 0, the subjects when there are none, the first sequence, and
// metadata that cfg has no key for; so do settings that this program does not know.
// All else is as in cfg afterwards, or the error is that of JetStream, which does
// not let everything be changed: storage, for one.
func (c *Client) Ensure(ctx context.Context, cfg *StreamConfig) (*StreamInfo, error) {
	for try := 1; ; try++ {
		i, err := c.Info(ctx, cfg.Name)
		if err == nil {
			if i, err = c.change(ctx, i, func(have *StreamConfig) { *have = wanted(cfg, have) }); !errors.Is(err, ErrStreamNotFound) {
				return i, err
			}
		}
		if errors.Is(err, ErrStreamNotFound) {
			i, err = c.stream(ctx, "CREATE", cfg.Name, cfg)
		}
		if err == nil || try == ensureTries || !errors.Is(err, ErrNameInUse) && !errors.Is(err, ErrStreamNotFound) {
			return i, err
		}
	}
}

// wanted is want where it says something, and have where it leaves the choice.
func wanted(want, have *StreamConfig) StreamConfig {
	w := *want
	for _, limit := range []*int64{&w.MaxMsgs, &w.MaxBytes, &w.MaxMsgsPer} {
		if *limit == 0 {
			*limit = -1
		}
	}
	if w.MaxConsumers == 0 {
		w.MaxConsumers = -1
	}
	if w.MaxMsgSize == 0 {
		w.MaxMsgSize = have.MaxMsgSize
	}
	if w.Replicas == 0 {
		w.Replicas = have.Replicas
	}
	if w.Duplicates == 0 {
		w.Duplicates = have.Duplicates
	}
	if w.FirstSeq == 0 {
		w.FirstSeq = have.FirstSeq
	}
	if w.Placement == nil {
		w.Placement = have.Placement
	}
	if len(w.Subjects) == 0 && w.Mirror == nil && len(w.Sources) == 0 {
		w.Subjects = have.Subjects
	}
	if w.Metadata = maps.Clone(have.Metadata); len(want.Metadata) > 0 {
		if w.Metadata == nil {
			w.Metadata = make(map[string]string, len(want.Metadata))
		}
		maps.Copy(w.Metadata, want.Metadata)
	}
	return w
}

// Update changes the configuration of a stream: f changes what is there. Settings
// that this program does not know stay. When f changes nothing nothing is sent. Of
// two at once the later wins, for JetStream has no word against it. Errors:
// ErrStreamNotFound, and those of what may not be changed.
func (c *Client) Update(ctx context.Context, stream string, f func(cfg *StreamConfig)) (*StreamInfo, error) {
	i, err := c.Info(ctx, stream)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, i, f)
}

// change sends what f makes of a configuration, if that is anything else.
func (c *Client) change(ctx context.Context, i *StreamInfo, f func(*StreamConfig)) (*StreamInfo, error) {
	cfg := i.Config
	cfg.Subjects, cfg.Sources, cfg.Metadata = slices.Clone(cfg.Subjects), slices.Clone(cfg.Sources), maps.Clone(cfg.Metadata)
	f(&cfg)
	before, err := settings(&i.Config)
	if err != nil {
		return nil, err
	}
	after, err := settings(&cfg)
	if err != nil {
		return nil, err
	}
	raw, changed := maps.Clone(i.raw), false
	for k, v := range after {
		if !bytes.Equal(before[k], v) {
			raw[k], changed = v, true
		}
	}
	for k := range before {
		if after[k] == nil {
			delete(raw, k)
			changed = true
		}
	}
	if !changed {
		return i, nil
	}
	return c.stream(ctx, "UPDATE", i.Config.Name, raw)
}

// settings is a configuration as it goes over the wire, each setting on its own.
func settings(cfg *StreamConfig) (m map[string]json.RawMessage, err error) {
	b, err := json.Marshal(cfg)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}

// Delete deletes a stream with all that is in it. Errors: ErrStreamNotFound.
func (c *Client) Delete(ctx context.Context, stream string) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.mu.direct, stream)
	c.mu.Unlock()
	return c.request(ctx, "STREAM.DELETE."+stream, nil, &struct{}{})
}

// PurgeOptions say what a purge takes; the zero value is everything. Seq and Keep
// exclude each other.
type PurgeOptions struct {
	Filter string `json:"filter,omitempty"` // only what is on these subjects
	Seq    uint64 `json:"seq,omitempty"`    // only what is below this sequence
	Keep   uint64 `json:"keep,omitempty"`   // all but so many, the newest
}

// Purge removes messages and says how many. Errors: ErrStreamNotFound.
func (c *Client) Purge(ctx context.Context, stream string, o PurgeOptions) (purged uint64, err error) {
	if err := checkName("stream", stream); err != nil {
		return 0, err
	}
	var out struct {
		Purged uint64 `json:"purged"`
	}
	err = c.request(ctx, "STREAM.PURGE."+stream, &o, &out)
	return out.Purged, err
}
