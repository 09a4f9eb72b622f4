package mqtt

import (
	"slices"
	"strings"
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

// The subscriptions of a client are told, as subjects.
func TestDescribe_subscriptions(t *testing.T) {
	b := startBroker(t, nil)
	c := b.connect(v5, "dev")
	for _, filter := range []string{"a/+", "b/#", "gone"} {
		c.subscribe(filter, 0)
	}
	c.send(c.encoded((&packets.Packet{
		ProtocolVersion: v5, PacketID: 9, FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1},
		Filters: packets.Subscriptions{{Filter: "gone"}},
	}).UnsubscribeEncode))
	c.expect(packets.Unsuback)
	all := b.Conns.Open()
	i := all[0].Describe(true, false)
	slices.Sort(i.Subs)
	if got := strings.Join(i.Subs, " "); got != "a.* b b.>" || i.NumSubs != 2 {
		t.Errorf("%d subscriptions: %s", i.NumSubs, got)
	}
	i = all[0].Describe(true, true)
	if n := len(i.SubsDetail); n != 3 || len(i.Subs) != 0 {
		t.Fatalf("%+v", i)
	}
	for _, s := range i.SubsDetail {
		if s.Subject == "a.*" && (s.SID != "a/+" || s.Cid != i.Cid) {
			t.Errorf("%+v", s)
		}
	}
	if i := all[0].Describe(false, false); len(i.Subs)+len(i.SubsDetail) != 0 {
		t.Errorf("told without being asked: %+v", i)
	}
}
