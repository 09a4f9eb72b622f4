package mqtt

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// vectors are all packets that the codec's own tests use.
func vectors(f func(kind byte, c packets.TPacketCase)) {
	for kind, cases := range packets.TPacketData {
		for _, c := range cases {
			f(kind, c)
		}
	}
}

// FuzzConn sends anything to a connection, alone and behind a CONNECT.
func FuzzConn(f *testing.F) {
	vectors(func(_ byte, c packets.TPacketCase) {
		if c.Packet != nil {
			f.Add(c.Packet.ProtocolVersion == v5, c.RawBytes)
		}
	})
	f.Fuzz(func(t *testing.T, new bool, in []byte) {
		b := newBroker(t)
		b.m.log = slog.New(slog.DiscardHandler)
		hello := "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02c1"
		if new {
			hello = "\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02c1"
		}
		for _, bytes := range [][]byte{in, append([]byte(hello), in...)} {
			here, there := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(io.Discard, there)
			}()
			go func() {
				_, _ = there.Write(bytes)
				there.Close()
			}()
			left := make(chan struct{})
			b.m.serve(here, nil, nil, func() { close(left) })
			<-done
			<-left
		}
		if n := b.Acc.Subscriptions(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		if len(b.m.mu.clients) != 0 {
			t.Error("a client is left")
		}
		b.m.stop()
	})
}

// FuzzFramer cuts packets out of any stream and puts them together again.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("\xc0\x00\x30\x04\x00\x01a1"))
	f.Add([]byte("\x30\xff\xff\xff\xff\x01"))
	f.Add(append([]byte("\x30\x88\x27"), make([]byte, 5000)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := scripted(in)
		var out []byte
		for {
			p, err := c.next()
			if err != nil {
				break
			}
			if len(p.body) > len(in) {
				t.Fatalf("a packet of %d bytes in %d", len(p.body), len(in))
			}
			out = appendLength(append(out, p.first), len(p.body))
			out = append(out, p.body...)
		}
		// Lengths may be longer than need be, so only the content is compared.
		again := scripted(out)
		for rest := out; len(rest) > 0; {
			p, err := again.next()
			if err != nil {
				t.Fatalf("what came out does not go in: %v", err)
			}
			rest = rest[1+lengthWidth(len(p.body))+len(p.body):]
		}
	})
}

// FuzzProperties turns properties into headers and back: what comes back is a
// valid block, and gives the same headers again.
func FuzzProperties(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x26\x00\x01K\x00\x01v\x01\x01\x02\x00\x00\x00\x09"))
	f.Add([]byte("\x03\x00\x04text\x08\x00\x03a/b\x09\x00\x02\x00\xff"))
	f.Add([]byte("\x23\x00\x01"))
	f.Add([]byte("\x01\x00"))
	f.Add([]byte("\x26\x00\x00\x00\x00\x26\x00\x03a =\x00\x03\r\n%\x03\x00\x00\x09\x00\x00"))
	f.Add([]byte("\x03\x00\x02 \t\x26\x00\x0dNmqtt-Reply-To\x00\x01v"))
	f.Fuzz(func(t *testing.T, block []byte) {
		framed := append(appendLength(nil, len(block)), block...)
		if rest, err := skipProperties(framed, publishProperties); err != nil || len(rest) != 0 {
			return
		}
		one := translation{dst: []byte("NATS/1.0\r\n"), room: 1 << 20}
		if one.properties(block) != nil {
			return
		}
		header := append(one.dst, '\r', '\n')
		props := appendProperties(nil, one.reply, header)
		framed = append(appendLength(nil, len(props)), props...)
		if rest, err := skipProperties(framed, publishProperties); err != nil || len(rest) != 0 {
			t.Fatalf("%q became %q, and that is not valid: %v", block, props, err)
		}
		var pk packets.Properties
		if _, err := pk.Decode(packets.Publish, bytes.NewBuffer(framed)); err != nil {
			t.Fatalf("the codec does not take %q: %v", props, err)
		}
		two := translation{dst: []byte("NATS/1.0\r\n"), room: 1 << 20}
		if err := two.properties(props); err != nil || two.lost > 0 {
			t.Fatalf("%v, %d lost of what came back", err, two.lost)
		}
		if one.lost == 0 && !sameProperties(block, props) {
			t.Fatalf("%q came back as %q", block, props)
		}
		if again := append(two.dst, '\r', '\n'); !sameHeaders(header, again) {
			t.Fatalf("headers %q came back as %q", header, again)
		}
		if !bytes.Equal(one.reply, two.reply) {
			t.Fatalf("reply subject %q came back as %q", one.reply, two.reply)
		}
	})
}

// sameHeaders compares what properties can carry: blanks around a value are not
// kept.
func sameHeaders(a, b []byte) bool {
	list := func(h []byte) (all []string) {
		wire.HeaderEach(h, func(name, value []byte) bool {
			switch {
			case string(name) == headerResponseTopic: // the reply subject is compared
			default:
				all = append(all, string(name)+"="+string(value))
			}
			return true
		})
		return all
	}
	x, y := list(a), list(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// sameProperties reports whether two blocks have the same, user properties in their
// order. An alias is for the server alone; a Response Topic comes back as what its
// subject makes.
func sameProperties(a, b []byte) bool {
	list := func(block []byte) (all []string) {
		var single []string
		for len(block) > 0 {
			n := 1 + propertySize(block[0], block[1:])
			switch block[0] {
			case packets.PropTopicAlias, packets.PropResponseTopic:
			case packets.PropUser:
				all = append(all, string(block[:n]))
			default:
				single = append(single, string(block[:n]))
			}
			block = block[n:]
		}
		slices.Sort(single)
		return append(all, single...)
	}
	return slices.Equal(list(a), list(b))
}

// FuzzHeaders turns any header block into properties that clients accept.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\nA: b\r\nNmqtt-Pub:1\r\n\r\n"))
	f.Add([]byte("NATS/1.0 503\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nNmqtt-Content-Type: a\r\nNmqtt-Content-Type-Escaped: =%0A\r\nNmqtt-User-Property: a=%\r\nNmqtt-Content-Type: b\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nNmqtt-Correlation-Data: AAEC\r\nNmqtt-Response-Topic: a/b\r\nNmqtt-Message-Expiry: 7\r\n\r\n"))
	f.Fuzz(func(t *testing.T, header []byte) {
		props := appendProperties(nil, nil, header)
		if len(props) >= 1<<28 {
			return
		}
		framed := append(appendLength(nil, len(props)), props...)
		if _, err := skipProperties(framed, publishProperties); err != nil {
			t.Fatalf("%q became %q: %v", header, props, err)
		}
		session.PublishedQoS(header)
	})
}
