package mqtt

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
)

// Counters that fall look like a restart to whoever draws them.
func TestDescribe_keeps_what_went_over_connections_that_are_gone(t *testing.T) {
	b := startBroker(t, nil)
	counts := func() (v monitor.Varz) {
		b.Conns.Count(&v)
		return v
	}
	for _, c := range []struct {
		name string
		end  func(*client)
		want string
	}{
		{"a DISCONNECT", func(c *client) { c.send([]byte{packets.Disconnect << 4, 0}) }, "Client Closed"},
		{"an end without a word", func(c *client) { c.c.Close() }, "Client Closed"},
		{"a take-over", func(*client) { b.connect(v311, "dev").c.Close() }, "Duplicate Client ID"},
		{"a violation", func(c *client) { c.send(c.connectPacket("dev", nil)) }, "Protocol Violation"},
	} {
		before := counts()
		d := b.connect(v311, "dev")
		for range 5 {
			d.publish("a/b", "hello", 0, 0)
		}
		d.fence()
		c.end(d)
		testkit.Eventually(t, c.name, func() bool { return counts().Connections == 0 })
		got := counts()
		if got.InMsgs-before.InMsgs != 5 || got.InClientMsgs-before.InClientMsgs != 5 || got.InBytes-before.InBytes != 25 {
			t.Errorf("%s: before %+v, then %+v", c.name, before, got)
		}
		testkit.Eventually(t, c.name+" is told as "+c.want, func() bool { return b.wasGone(c.want) })
	}
}
