package mqtt

import (
	"errors"
	"os"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Nothing is read for somebody whom nobody knows but a CONNECT, and that is
// bounded: what can't be one is refused by its first bytes.
func TestConnect_refusedBeforeItsBodyIsRead(t *testing.T) {
	for _, tc := range []struct {
		name string
		sent []byte
	}{
		{"PUBLISH", []byte{packets.Publish << 4}},
		{"flags", []byte{packets.Connect<<4 | 1}},
		{"a packet of servers", []byte{packets.Connack << 4}},
		{"too long", appendLength([]byte{packets.Connect << 4}, maxConnect)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := startBroker(t, nil)
			c := b.dial(v5)
			c.send(tc.sent)
			var one [1]byte
			if n, err := c.c.Read(one[:]); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes and %v, not closed", n, err)
			}
		})
	}
}

// The bound of a CONNECT is not that of what comes behind it.
func TestConnect_large(t *testing.T) {
	b := startBroker(t, func(b *broker) { b.Opts.MaxPayload = 2 * maxConnect })
	s := b.capture("t")
	c := b.dial(v5)
	c.send(c.connectPacket("dev", func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "w", make([]byte, 65_000)
		pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte("u")
		pk.Connect.PasswordFlag, pk.Connect.Password = true, make([]byte, 65_000)
	}))
	if pk := c.expect(packets.Connack); pk.ReasonCode != 0 {
		t.Fatalf("CONNACK %d", pk.ReasonCode)
	}
	c.send(appendPublish(nil, v5, 0, 0, []byte("t"), nil, make([]byte, maxConnect+1)))
	c.fence()
	if n := len(s.got()); n != 1 {
		t.Errorf("%d messages", n)
	}
}
