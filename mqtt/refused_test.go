package mqtt

import (
	"errors"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// Who is not let in counts, and is among the closed connections with the reason, as
// it is of NATS clients.
func TestRefused_isAmongTheClosed(t *testing.T) {
	b := startBroker(t, func(b *broker) {
		b.Opts.MaxConns = 1
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			if r.User == "wrong" {
				return nil, errors.New("wrong password")
			}
			return &auth.Grant{Account: config.GlobalAccount, User: r.User}, nil
		}
	})
	login := func(user string) *client {
		c := b.dial(v311)
		c.send(c.connectPacket("dev", func(pk *packets.Packet) {
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte(user)
		}))
		return c
	}
	last := func(n int, reason wire.CloseReason, user string) {
		t.Helper()
		testkit.Eventually(t, "it is among the closed", func() bool { return len(b.Conns.Closed()) == n })
		var v monitor.Varz
		b.Conns.Count(&v)
		i := b.Conns.Closed()[n-1]
		if i.Reason != reason.String() || i.AuthorizedUser != user || i.AccountName != "" || i.Stop == nil || v.TotalConnections != uint64(n) {
			t.Errorf("%+v of %d; want %q", i, v.TotalConnections, reason)
		}
		testkit.Eventually(t, "it is over", func() bool { return b.Conns.Clients() == 0 })
	}
	if code := login("wrong").expect(packets.Connack).ReasonCode; code != refusedNotAllowed {
		t.Errorf("CONNACK %d", code)
	}
	last(1, wire.ReasonAuthFailure, "wrong")
	b.dial(v311).c.Close()
	last(2, wire.ReasonClientClosed, "")
	c := b.dial(v311)
	c.send([]byte{packets.Connect<<4 | 1, 0})
	last(3, wire.ReasonProtocolViolation, "")

	in := login("user")
	in.expect(packets.Connack)
	b.dial(v311) // one too many
	testkit.Eventually(t, "it is refused", func() bool { return len(b.Conns.Closed()) == 4 })
	if i := b.Conns.Closed()[3]; i.Reason != wire.ReasonConnections.String() {
		t.Errorf("%+v", i)
	}
	in.c.Close()
	testkit.Eventually(t, "the one that was let in is gone", func() bool { return len(b.Conns.Closed()) == 5 })
	var v monitor.Varz
	if b.Conns.Count(&v); v.TotalConnections != 5 {
		t.Errorf("%d connections in all", v.TotalConnections)
	}
}
