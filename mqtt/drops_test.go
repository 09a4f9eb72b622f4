package mqtt

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// What a client was not sent and what was refused of it is seen when it is gone, by
// the reason.
func TestDrops_byReason(t *testing.T) {
	b := startBroker(t, nil)
	c := b.dial(v5)
	c.send(c.connectPacket("dev", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 }))
	c.expect(packets.Connack)
	c.subscribe("a/#", 0)
	b.publish(wire.Msg{Subject: []byte("a.b"), Body: make([]byte, 200)})
	b.publish(wire.Msg{Subject: []byte("a.b#"), Body: []byte("x")})
	b.publish(wire.Msg{Subject: []byte("a.b"), Body: []byte("x")})
	c.expect(packets.Publish)
	c.publish("$MQTT/x", "x", 1, 1)
	c.expect(packets.Puback)
	c.c.Close()
	var got *monitor.MQTTDrops
	testkit.Eventually(t, "it is gone", func() bool {
		for _, i := range b.Conns.Closed() {
			got = i.MQTTDrops
		}
		return got != nil
	})
	if want := (monitor.MQTTDrops{TooLarge: 1, Unfit: 1, Refused: 1}); *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}
