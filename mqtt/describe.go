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
func (c *conn) Describe(_, _ bool) *monitor.ConnInfo {
	t := c.Traffic()
	i := &monitor.ConnInfo{
		Cid: c.id, Kind: monitor.KindClient, Type: monitor.TypeMQTT, Start: c.started,
		LastActivity: core.Moment(c.lastSeen.Load()), Pending: c.out.Pending(),
		InMsgs: t.InMsgs, OutMsgs: t.OutMsgs, InBytes: t.InBytes, OutBytes: t.OutBytes,
		NumSubs: uint32(c.numSubs.Load()), MQTTClient: c.clientID, AccountName: c.account.Name(),
		AuthorizedUser: c.grant.User, Account: c.account.Name(),
	}
	core.DescribeHost(i, c.nc)
	return i
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
	var f *failure
	var code packets.Code
	switch {
	case c.slow.Load(), errors.Is(c.end, errSlow):
		return wire.ReasonSlowPending
	case errors.Is(c.end, errPart):
		return wire.ReasonStale
	case errors.Is(c.end, errDisconnect), errors.Is(c.end, io.EOF):
		return wire.ReasonClientClosed
	case errors.Is(c.end, errRevoked):
		return wire.ReasonAuthFailure
	case errors.Is(c.end, errTooMany):
		return wire.ReasonConnections
	case errors.Is(c.end, errTakenOver):
		return wire.ReasonDuplicateClientID
	case errors.Is(c.end, errKicked):
		return wire.ReasonKicked
	case errors.Is(c.end, errShutdown):
		return wire.ReasonServerShutdown
	case errors.As(c.end, &f), errors.As(c.end, &code):
		return wire.ReasonProtocolViolation
	case errors.Is(c.end, os.ErrDeadlineExceeded):
		return wire.ReasonStale
	default:
		return wire.ReasonReadError
	}
}
