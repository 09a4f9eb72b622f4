//go:build !lite

package core

import (
	"cmp"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/core/monitor"
)

// Jsz is part of monitor.FullSource. The error is the asker's.
func (s *Server) Jsz(o *monitor.JszOptions) (*monitor.Jsz, error) {
	o = cmp.Or(o, &monitor.JszOptions{})
	want := o.Normal()
	z := &monitor.Jsz{ID: s.ServerID(), Now: time.Now().UTC()}
	st := s.store.Load()
	if st == nil {
		z.Disabled = true
		return z, nil
	}
	var v monitor.JetStreamVarz
	s.describeStore(&v)
	z.JetStreamStats, z.Config, z.Limits = *v.Stats, *v.Config, v.Limits
	var all []*monitor.JszAccount
	byID := map[string]api.Account{}
	for _, a := range st.engine.Enabled() {
		use := a.Usage()
		z.Total++
		z.Streams += use.Streams
		z.Consumers += use.Consumers
		for _, x := range a.Streams("") {
			i := x.Info()
			z.Messages += i.State.Msgs
			z.Bytes += i.State.Bytes
		}
		counts := a.Counts()
		byID[a.Name()] = a
		all = append(all, &monitor.JszAccount{Name: a.Name(), ID: a.Name(), JetStreamStats: monitor.JetStreamStats{
			Memory: use.Memory, Store: use.Storage, ReservedMemory: monitor.Reserved(use.MaxMemory), ReservedStore: monitor.Reserved(use.MaxStorage),
			API: monitor.JetStreamAPIStats{Total: counts.Total.Load(), Errors: counts.Errors.Load()},
		}})
	}
	if want.RaftGroups {
		z.LedStreams, z.LedConsumers = z.Streams, z.Consumers
	}
	z.Accounts = want.Page(all)
	if want.Streams {
		for _, a := range z.Accounts {
			s.describeStreams(a, byID[a.ID], &want)
		}
	}
	return z, nil
}

func (s *Server) describeStreams(to *monitor.JszAccount, a api.Account, want *monitor.JszOptions) {
	for _, x := range a.Streams("") {
		i := x.Info()
		d := monitor.JszStream{Name: x.Name(), Created: i.Created, State: i.State, Cluster: &monitor.JszCluster{Leader: s.ServerName()}}
		if want.Config {
			d.Config = i.Config
		}
		if i.Mirror != nil {
			d.Mirror = i.Mirror
		}
		if len(i.Sources) > 0 {
			d.Sources = i.Sources
		}
		if want.Consumer {
			for _, c := range x.Consumers() {
				info := c.Info()
				if !want.Config {
					info.Config = nil
				}
				d.Consumers = append(d.Consumers, info)
			}
		}
		to.Streams = append(to.Streams, d)
	}
}

// purged is the answer to $JS.API.ACCOUNT.PURGE.NAME.
type purged struct {
	Type      string          `json:"type"`
	Error     *apierror.Error `json:"error,omitempty"`
	Initiated bool            `json:"initiated,omitempty"`
}

// purgeAccount deletes all streams of an account that has JetStream; there may be no
// such account.
func (q *asked) purgeAccount() (any, error) {
	answer := &purged{Type: "io.nats.jetstream.api.v1.account_purge_response", Initiated: true}
	name := q.token(4)
	for _, a := range q.y.s.store.Load().engine.Enabled() {
		if a.Name() != name {
			continue
		}
		var names []string
		for _, x := range a.Streams("") {
			names = append(names, x.Name())
		}
		for offline := range a.Offline("") {
			names = append(names, offline)
		}
		q.y.s.log.Info("Purging the streams of account "+name, "streams", len(names))
		for _, stream := range names {
			if err := a.DeleteStream(stream); err != nil {
				q.y.s.log.Error("Purge of account "+name, "stream", stream, "err", err)
				answer.Error, answer.Initiated = err, false
			}
		}
	}
	return answer, nil
}
