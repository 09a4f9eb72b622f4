package mqtt

import (
	"errors"
	"io"
	"os"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/wire"
)

// ConnID is part of core.Connection.
func (c *conn) ConnID() uint64 { return c.id }

// ConnKind is part of core.Connection.
func (c *conn) ConnKind() string { return monitor.KindClient }

// Traffic is part of core.Connection.
func (c *conn) Traffic() monitor.Traffic {
	return monitor.Traffic{InMsgs: c.inMsgs.Load(), OutMsgs: c.outMsgs.Load(), InBytes: c.inBytes.Load(), OutBytes: c.outBytes.Load()}
}

// Describe is part of core.Connection.
func (c *conn) Describe(subs, details bool) *monitor.ConnInfo {
	t := c.Traffic()
	i := &monitor.ConnInfo{
		Cid: c.id, Kind: monitor.KindClient, Type: monitor.TypeMQTT, Start: c.started,
		LastActivity: core.Moment(c.lastSeen.Load()), Pending: c.out.Pending(),
		InMsgs: t.InMsgs, OutMsgs: t.OutMsgs, InBytes: t.InBytes, OutBytes: t.OutBytes,
		NumSubs: uint32(c.numSubs.Load()), MQTTClient: c.clientID, MQTTDrops: c.drops.describe(), AuthorizedUser: c.claims,
	}
	if c.grant != nil { // it was let in
		i.AuthorizedUser, i.AccountName, i.Account = c.grant.User, c.account.Name(), c.account.Name()
	}
	if c.at != nil {
		i.MQTTListener = c.at.name
	}
	core.DescribeHost(i, c.nc)
	if c.grant != nil && (subs || details) {
		c.describeSubs(i, details)
	}
	return i
}

// describeSubs adds the subscriptions: their subjects, and as identifiers their filters.
func (c *conn) describeSubs(i *monitor.ConnInfo, details bool) {
	c.subsLock.Lock()
	defer c.subsLock.Unlock()
	for _, s := range c.subs {
		for _, sub := range s.subs {
			if details {
				i.SubsDetail = append(i.SubsDetail, monitor.SubDetail{
					Subject: sub.Subject, Queue: sub.Queue, SID: sub.SID, Msgs: int64(sub.Delivered()), Cid: c.id,
				})
			} else {
				i.Subs = append(i.Subs, sub.Subject)
			}
		}
	}
}

// UserInfo is what the client is told when it asks who it is.
func (c *conn) UserInfo() *monitor.UserInfo {
	return core.NewUserInfo(c.grant.User, c.account.Name(), c.grant.Permissions)
}

// closedReason is why the connection ended, in the words of monitoring.
func (c *conn) closedReason() wire.CloseReason {
	select {
	case <-c.ended:
	default: // it was gone before its CONNACK
		return wire.ReasonWriteError
	}
	return c.reasonOf(c.end)
}

// refusedReason is the same of one that was not let in.
func (c *conn) refusedReason(err error) wire.CloseReason {
	var r *refusal
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.ReasonAuthTimeout
	case !errors.As(err, &r):
		return c.reasonOf(err)
	case r.code == packets.ErrNotAuthorized, r.code == packets.ErrBadUsernameOrPassword, r.code == packets.ErrBadAuthenticationMethod:
		return wire.ReasonAuthFailure
	}
	return wire.ReasonProtocolViolation
}

func (c *conn) reasonOf(err error) wire.CloseReason {
	var f *failure
	var code packets.Code
	switch {
	case c.slow.Load(), errors.Is(err, errSlow):
		return wire.ReasonSlowPending
	case errors.Is(err, errPart):
		return wire.ReasonStale
	case errors.Is(err, errDisconnect), errors.Is(err, io.EOF):
		return wire.ReasonClientClosed
	case errors.Is(err, errRevoked):
		return wire.ReasonAuthFailure
	case errors.Is(err, errListener):
		return wire.ReasonClientClosed
	case errors.Is(err, errTooMany):
		return wire.ReasonConnections
	case errors.Is(err, errTakenOver):
		return wire.ReasonDuplicateClientID
	case errors.Is(err, errKicked):
		return wire.ReasonKicked
	case errors.Is(err, errShutdown):
		return wire.ReasonServerShutdown
	case errors.As(err, &f), errors.As(err, &code):
		return wire.ReasonProtocolViolation
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.ReasonStale
	default:
		return wire.ReasonReadError
	}
}
