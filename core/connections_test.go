package core

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

type fakeConnection struct {
	id            uint64
	kind          string
	user, account string
	in            atomic.Int64
	kicked        bool
}

func (c *fakeConnection) Kick() { c.kicked = true }

func (c *fakeConnection) ConnID() uint64   { return c.id }
func (c *fakeConnection) ConnKind() string { return c.kind }
func (c *fakeConnection) Traffic() monitor.Traffic {
	n := c.in.Load()
	return monitor.Traffic{InMsgs: n, InBytes: 10 * n, OutMsgs: 100 * n, OutBytes: 1000 * n}
}

func (c *fakeConnection) Describe(_, _ bool) *monitor.ConnInfo {
	return &monitor.ConnInfo{Cid: c.id, Kind: c.kind, InMsgs: c.in.Load(), AuthorizedUser: c.user, AccountName: c.account}
}

func TestConnections_countByKind(t *testing.T) {
	s := NewConnections(0, 2)
	client, slow := &fakeConnection{id: s.NextID(), kind: monitor.KindClient}, &fakeConnection{id: s.NextID(), kind: monitor.KindClient}
	leaf := &fakeConnection{id: s.NextID(), kind: monitor.KindLeaf}
	for i, c := range []*fakeConnection{client, slow, leaf} {
		s.Add(c)
		c.in.Store(int64(i + 1))
	}
	count := func() (v monitor.Varz) { s.Count(&v); return v }
	v := count()
	if v.Connections != 2 || v.Leafs != 1 || v.TotalConnections != 2 || v.InMsgs != 6 || v.InClientMsgs != 3 || v.InBytes != 60 ||
		v.OutMsgs != 600 || v.OutClientMsgs != 300 || v.OutBytes != 6000 || v.OutClientBytes != 3000 || v.InClientBytes != 30 {
		t.Errorf("open: %+v", v)
	}
	s.Remove(slow, wire.ReasonSlowDeadline)
	s.Remove(leaf, wire.ReasonStale)
	s.Remove(leaf, wire.ReasonStale) // once is enough
	v = count()
	if v.Connections != 1 || v.Leafs != 0 || v.TotalConnections != 2 || v.InMsgs != 6 || v.InClientMsgs != 3 ||
		v.SlowConsumers != 1 || v.SlowByKind.Clients != 1 || v.StaleConnections != 1 || v.StaleByKind.Leafs != 1 {
		t.Errorf("two are gone: %+v", v)
	}
	if s.Count(&v); v.Connections != 1 || v.InMsgs != 6 || v.SlowConsumers != 1 {
		t.Errorf("counted again: %+v", v)
	}
	s.Remove(client, wire.ReasonClientClosed)
	closed := s.Closed()
	if len(closed) != 2 || closed[0].Cid != leaf.id || closed[1].Cid != client.id || closed[1].Reason != "Client Closed" || closed[1].Stop == nil {
		t.Errorf("closed: %+v", closed)
	}
}

func TestConnections_kick(t *testing.T) {
	s := NewConnections(0, 2)
	var all []*fakeConnection
	for _, who := range []string{"ann A", "ann B", "bob A"} {
		user, acc, _ := strings.Cut(who, " ")
		c := &fakeConnection{id: s.NextID(), kind: monitor.KindClient, user: user, account: acc}
		s.Add(c)
		all = append(all, c)
	}
	kicked := func() (ids string) {
		for _, c := range all {
			if c.kicked {
				ids += strconv.FormatUint(c.id, 10)
			}
			c.kicked = false
		}
		return ids
	}
	if err := s.Kick(2); err != nil || kicked() != "2" {
		t.Errorf("by id: %v", err)
	}
	if err := s.Kick(4); !errors.Is(err, ErrNoConnection) || kicked() != "" {
		t.Errorf("by an id that nobody has: %v", err)
	}
	for _, c := range []struct{ user, account, want string }{{"ann", "", "12"}, {"", "A", "13"}, {"ann", "A", "1"}, {"carol", "", ""}, {"bob", "B", ""}} {
		if n := s.KickAll(c.user, c.account); n != len(c.want) {
			t.Errorf("user %q, account %q: %d", c.user, c.account, n)
		}
		if got := kicked(); got != c.want {
			t.Errorf("user %q, account %q: %s, want %s", c.user, c.account, got, c.want)
		}
	}
}

func TestConnections_letNoMoreInThanMay(t *testing.T) {
	for _, c := range []struct{ limit, enter, want int }{{0, 100, 100}, {3, 5, 3}, {-1, 2, 0}} {
		s, n := NewConnections(c.limit, 0), 0
		for range c.enter {
			if s.Enter() {
				n++
			}
		}
		if n != c.want || s.Clients() != c.want {
			t.Errorf("limit %d: %d of %d are in", c.limit, n, c.enter)
		}
		if c.limit > 0 {
			if s.Leave(); !s.Enter() {
				t.Errorf("limit %d: one left, and there is no room", c.limit)
			}
		}
	}
}

// Counters that fall look like a restart to whoever draws them.
func TestConnections_countersNeverFall(t *testing.T) {
	s := NewConnections(0, 10)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 300 {
				c := &fakeConnection{id: s.NextID(), kind: monitor.KindClient}
				s.Add(c)
				for range 10 {
					c.in.Add(1)
				}
				s.Remove(c, wire.ReasonClientClosed)
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	last := int64(0)
	for looks := 0; ; looks++ {
		var v monitor.Varz
		s.Count(&v)
		if v.InMsgs < last {
			t.Fatalf("look %d: %d messages after %d", looks, v.InMsgs, last)
		}
		last = v.InMsgs
		select {
		case <-done:
			v = monitor.Varz{}
			if s.Count(&v); v.InMsgs != 4*300*10 || v.Connections != 0 || v.TotalConnections != 4*300 {
				t.Errorf("at the end %+v", v)
			}
			return
		default:
		}
	}
}

// goingConnection goes while it is described.
type goingConnection struct {
	fakeConnection
	s     *Connections
	going bool
}

func (c *goingConnection) Describe(subs, detail bool) *monitor.ConnInfo {
	if !c.going {
		c.going = true
		c.s.Remove(c, wire.ReasonClientClosed)
	}
	return c.fakeConnection.Describe(subs, detail)
}

func TestServer_connzShowsAConnectionOnce(t *testing.T) {
	s := &Server{connections: NewConnections(0, 2)}
	c := &goingConnection{fakeConnection: fakeConnection{id: s.connections.NextID(), kind: monitor.KindClient}, s: s.connections}
	s.connections.Add(c)
	for range 2 { // while it goes, and then
		z, err := s.Connz(&monitor.ConnzOptions{State: monitor.ConnAll, Limit: 10})
		if err != nil || len(z.Conns) != 1 {
			t.Errorf("%d connections, %v", len(z.Conns), err)
		}
	}
}
