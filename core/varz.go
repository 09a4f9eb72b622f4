package core

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/subject"
)

var _ monitor.Source = (*Server)(nil)

// Varz is part of monitor.Source.
func (s *Server) Varz() *monitor.Varz {
	set, now := s.current.Load(), time.Now().UTC()
	o := set.o
	host, port := s.advertised(o)
	v := &monitor.Varz{
		ID: s.ServerID(), Name: s.ServerName(), Version: Level, FrondVersion: ProgramVersion(), Proto: protocolLevel, GoVersion: runtime.Version(),
		Host: host, Port: port, AuthRequired: set.doors.client.Required(),
		TLSRequired: o.TLS != nil && !o.AllowNonTLS, TLSVerify: o.TLS != nil && o.TLS.Verify,
		MaxConnections: o.MaxConns, MaxSubscriptions: o.MaxSubs, PingInterval: o.PingInterval, PingMax: o.PingMax,
		HTTPHost: o.HTTPHost, HTTPPort: o.HTTPPort, HTTPBasePath: o.HTTPBasePath, HTTPSPort: o.HTTPSPort,
		AuthTimeout: o.Auth.AuthTimeout(o.TLS).Seconds(), MaxControlLine: o.MaxControlLine, MaxPayload: o.MaxPayload,
		MaxPending: o.MaxPending, WriteDeadline: o.WriteDeadline, Start: s.startedAt.UTC(), Now: now,
		Uptime: monitor.Uptime(now.Sub(s.startedAt)), Mem: memoryUsed(), Cores: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0),
		CPU:            s.cpu.measure(s.startedAt, now),
		StalledClients: s.stalls.Load(), ConfigLoadTime: set.loadedAt.UTC(), ConfigDigest: o.Digest,
		Tags: o.ServerTags, Metadata: o.ServerMetadata, SystemAccount: o.SystemAccount,
	}
	if s.monitor != nil {
		p := s.monitor.Port()
		if s.monitor.scheme == "https" {
			v.HTTPSPort = p
		} else {
			v.HTTPPort = p
		}
	}
	if o.WriteTimeout != "default" {
		v.WriteTimeout = o.WriteTimeout
	}
	v.TLSTimeout = usualTLSTimeout
	if o.TLS != nil {
		v.TLSTimeout = o.TLS.Timeout.Seconds()
	}
	if n := debug.SetMemoryLimit(-1); n < 1<<62 {
		v.MemLimit = n
	}
	v.Memory = s.memory.describe()
	s.connections.Count(v)
	for _, a := range s.accounts.All() {
		v.Subscriptions += uint64(a.Subscriptions())
	}
	s.describeStore(&v.JetStream)
	s.describeWebSocket(&v.Websocket)
	s.describeModules(&monitor.Description{}).AddTo(v)
	return v
}

// usualTLSTimeout is the timeout in seconds that the stock server tells without TLS.
const usualTLSTimeout = 2

// alwaysSyncInterval is the sync_interval that the stock server tells beside
// sync_always, where it has no meaning.
const alwaysSyncInterval = 2 * time.Minute

// describeStore is the part of JetStream.
func (s *Server) describeStore(v *monitor.JetStreamVarz) {
	st := s.store.Load()
	if st == nil {
		return
	}
	j := &s.Options().JetStream
	sync := j.SyncInterval
	if sync == 0 {
		sync = alwaysSyncInterval
	}
	v.Config = &monitor.JetStreamConfig{
		MaxMemory: st.maxMemory, MaxStore: st.maxStore.Load(), StoreDir: st.dir, SyncInterval: sync,
		SyncAlways: j.SyncInterval == 0, Domain: j.Domain, CompressOK: true, Strict: j.Strict,
	}
	use := st.engine.Stats()
	v.Stats = &monitor.JetStreamStats{
		Memory: use.Memory, Store: use.Storage, ReservedMemory: use.ReservedMemory, ReservedStore: use.ReservedStorage,
		Accounts: use.Accounts,
		API:      monitor.JetStreamAPIStats{Level: apiLevel, Total: use.APITotal, Errors: use.APIErrors, Inflight: use.APIInflight},
	}
	v.Limits = &monitor.JetStreamLimits{
		MaxRequestBatch: j.Limits.MaxRequestBatch, MaxAckPending: j.Limits.MaxAckPending,
		Duplicates: j.Limits.DuplicateWindow, DefaultMaxConsumers: j.Limits.DefaultMaxConsumers,
	}
}

// cpuMeter measures what part of a processor this process uses.
type cpuMeter struct {
	sync.Mutex
	at      time.Time
	used    int64
	percent float64
}

// measure is the percentage since the last measurement, which is done again
// after a second at the earliest.
func (c *cpuMeter) measure(start, now time.Time) float64 {
	c.Lock()
	defer c.Unlock()
	if c.at.IsZero() {
		c.at = start
	}
	if wall := now.Sub(c.at); wall >= time.Second {
		used := cpuTime()
		// One digit behind the point.
		c.percent = float64((used-c.used)*1000/int64(wall)) / 10
		c.at, c.used = now, used
	}
	return c.percent
}

// Connz is part of monitor.Source. No options are those of a plain request, here
// and below.
func (s *Server) Connz(o *monitor.ConnzOptions) (*monitor.Connz, error) {
	o = cmp.Or(o, &monitor.ConnzOptions{})
	if o.FilterSubject != "" && o.Account == "" {
		return nil, errors.New("filter by subject only valid with account filtering")
	}
	now := time.Now().UTC()
	var all []*monitor.ConnInfo
	open, closed := s.connections.all()
	if o.State == monitor.ConnOpen || o.State == monitor.ConnAll {
		for _, c := range open {
			if o.CID == 0 || o.CID == c.ConnID() {
				all = append(all, c.Describe(o.Subscriptions, o.SubsDetail || o.FilterSubject != ""))
			}
		}
	}
	if o.State == monitor.ConnClosed || o.State == monitor.ConnAll {
		all = append(all, closed.all()...)
	}
	if o.FilterSubject != "" {
		all = slices.DeleteFunc(all, func(c *monitor.ConnInfo) bool {
			return !slices.ContainsFunc(c.SubsDetail, func(d monitor.SubDetail) bool { return subject.Covers(d.Subject, o.FilterSubject) })
		})
	}
	return monitor.NewConnz(s.ServerID(), now, o, all)
}

// Leafz is part of monitor.Source.
func (s *Server) Leafz(o *monitor.LeafzOptions) *monitor.Leafz {
	o = cmp.Or(o, &monitor.LeafzOptions{})
	d := s.describeModules(&monitor.Description{WantLeafs: true, WantSubs: o.Subscriptions})
	return monitor.NewLeafz(s.ServerID(), time.Now().UTC(), o, d)
}

// Healthz is part of monitor.Source. A full disk and damage are told to whoever
// asks how the server is, and not to probes that ask whether it should be ended
// (js-server-only, js-enabled-only): nothing that is lost comes back by that.
func (s *Server) Healthz(o *monitor.HealthzOptions) *monitor.Healthz {
	o = cmp.Or(o, &monitor.HealthzOptions{})
	h := &monitor.Healthz{Status: "ok", StatusCode: 200}
	if code, wrong := s.healthOf(o); code != 0 {
		h.StatusCode = code
		if h.Status = "unavailable"; o.Details || code == 400 {
			h.Status = "error"
		}
		if h.Error = wrong.Error; o.Details {
			h.Error, h.Errors = "", []monitor.HealthError{*wrong}
		}
		return h
	}
	d := s.describeModules(&monitor.Description{})
	if st := s.store.Load(); st != nil && !o.JSServerOnly && !o.JSEnabledOnly {
		d.Health = append(d.Health, st.health()...)
	}
	if o.LeafRemotes {
		for _, r := range d.Leaf.Remotes {
			if !r.Connected {
				d.Health = append(d.Health, monitor.HealthError{
					Type:  monitor.HealthConnection,
					Error: fmt.Sprintf("leafnode remote for account %q (urls=%q) is not connected", r.LocalAccount, r.URLs),
				})
			}
		}
	}
	if !s.ready.Load() {
		d.Health = append(d.Health, monitor.HealthError{Type: monitor.HealthConnection, Error: "not ready for connections"})
		h.StatusCode = 500
		h.Status = "error"
	} else if len(d.Health) > 0 {
		h.StatusCode = 503
		h.Status = "unavailable"
	}
	switch {
	case len(d.Health) == 0:
	case o.Details: // as nats-server: one or the other
		h.Status, h.Errors = "error", d.Health
	default:
		h.Error = d.Health[0].Error
	}
	return h
}
