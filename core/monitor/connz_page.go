package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// NewConnz picks, sorts and pages connections. conns are all of the state that
// was asked for, snapshots that belong to the call; it fills in what depends
// on now and drops what was not asked for. An error is the asker's.
func NewConnz(serverID string, now time.Time, o *ConnzOptions, conns []*ConnInfo) (*Connz, error) {
	limit, offset := o.Limit, max(o.Offset, 0)
	if limit <= 0 {
		limit = DefaultPage
	}
	if o.CID > 0 {
		limit = 1
	}
	less, err := o.order()
	if err != nil {
		return nil, err
	}
	conns = slices.DeleteFunc(conns, func(c *ConnInfo) bool { return !o.matches(c) })
	slices.SortFunc(conns, func(a, b *ConnInfo) int {
		if d := less(a, b); d != 0 {
			return d
		}
		return cmp.Compare(a.Cid, b.Cid)
	})
	z := &Connz{ID: serverID, Now: now.UTC(), Total: len(conns), Offset: offset, Limit: limit, Conns: []*ConnInfo{}}
	if offset < len(conns) {
		z.Conns = conns[offset:min(offset+limit, len(conns))]
	}
	z.NumConns = len(z.Conns)
	for _, c := range z.Conns {
		c.finish(now, o)
	}
	return z, nil
}

func (o *ConnzOptions) matches(c *ConnInfo) bool {
	return (o.CID == 0 || c.Cid == o.CID) &&
		(o.User == "" || c.AuthorizedUser == o.User) &&
		(o.Account == "" || c.AccountName == o.Account) &&
		(o.MQTTClient == "" || c.MQTTClient == o.MQTTClient) &&
		(o.State != ConnOpen || c.Stop == nil) &&
		(o.State != ConnClosed || c.Stop != nil)
}

// finish fills in texts and hides what was not asked for.
func (c *ConnInfo) finish(now time.Time, o *ConnzOptions) {
	end := now
	if c.Stop != nil {
		end = *c.Stop
	}
	if c.Uptime == "" { // else it is that of one that is gone, as it was told then
		c.Uptime = Uptime(end.Sub(c.Start))
		c.Idle = Uptime(end.Sub(c.LastActivity))
	}
	if c.RTT = c.RoundTrip.String(); c.Kind == "" {
		c.Kind = KindClient // tools index its first letter
	}
	if c.NameTag = c.AccountName; !o.Auth {
		c.AuthorizedUser, c.Account, c.JWT, c.IssuerKey, c.NameTag = "", "", "", "", ""
		c.Tags, c.TLSPeerCerts = nil, nil
	}
	switch {
	case o.SubsDetail:
		c.Subs = nil
	case o.Subscriptions:
		c.SubsDetail = nil
	default:
		c.Subs, c.SubsDetail = nil, nil
	}
}

// order returns the comparison for the sort option. Most are from the largest
// down; ties go by cid.
func (o *ConnzOptions) order() (func(a, b *ConnInfo) int, error) {
	down := func(f func(*ConnInfo) int64) func(a, b *ConnInfo) int {
		return func(a, b *ConnInfo) int { return cmp.Compare(f(b), f(a)) }
	}
	switch o.Sort {
	case "", "cid":
		return func(a, b *ConnInfo) int { return 0 }, nil
	case "start":
		return func(a, b *ConnInfo) int { return a.Start.Compare(b.Start) }, nil
	case "subs":
		return down(func(c *ConnInfo) int64 { return int64(c.NumSubs) }), nil
	case "pending":
		return down(func(c *ConnInfo) int64 { return int64(c.Pending) }), nil
	case "msgs_to":
		return down(func(c *ConnInfo) int64 { return c.OutMsgs }), nil
	case "msgs_from":
		return down(func(c *ConnInfo) int64 { return c.InMsgs }), nil
	case "bytes_to":
		return down(func(c *ConnInfo) int64 { return c.OutBytes }), nil
	case "bytes_from":
		return down(func(c *ConnInfo) int64 { return c.InBytes }), nil
	case "last":
		return func(a, b *ConnInfo) int { return b.LastActivity.Compare(a.LastActivity) }, nil
	case "idle":
		// The longest idle is the one whose last activity is oldest.
		return func(a, b *ConnInfo) int { return a.LastActivity.Compare(b.LastActivity) }, nil
	case "uptime":
		return func(a, b *ConnInfo) int { return a.Start.Compare(b.Start) }, nil
	case "rtt":
		return down(func(c *ConnInfo) int64 { return int64(c.RoundTrip) }), nil
	case "stop":
		if o.State != ConnClosed {
			return nil, errors.New("sort by stop only valid on closed connections")
		}
		return func(a, b *ConnInfo) int { return b.Stop.Compare(*a.Stop) }, nil
	case "reason":
		if o.State != ConnClosed {
			return nil, errors.New("sort by reason only valid on closed connections")
		}
		return func(a, b *ConnInfo) int { return cmp.Compare(a.Reason, b.Reason) }, nil
	}
	return nil, fmt.Errorf("invalid sorting option: %s", o.Sort)
}
