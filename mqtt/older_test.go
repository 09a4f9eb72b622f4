package mqtt

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// MQTT 3.1 is taken as mosquitto takes it: cmd/interop compares the bytes.
func TestOlder_connect(t *testing.T) {
	b := startBroker(t, nil)
	for _, c := range []struct {
		name, packet string
		code         int // -1: closed without a CONNACK
	}{
		{"MQTT 3.1", "10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61", 0},
		{"no client identifier", "10 0e 00 06 4d 51 49 73 64 70 03 02 00 3c 00 00", 2},
		{"its name with another level", "10 0f 00 06 4d 51 49 73 64 70 04 02 00 3c 00 01 61", 1},
		{"its level with another name", "10 0d 00 04 4d 51 54 54 03 02 00 3c 00 01 61", 1},
		{"a bridge of 3.1", "10 0f 00 06 4d 51 49 73 64 70 83 02 00 3c 00 01 61", 0},
		{"a bridge of 3.1.1", "10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 61", 0},
		{"a bridge of 3.1.1 without a client identifier", "10 0c 00 04 4d 51 54 54 84 02 00 3c 00 00", 0},
		{"a bridge of another level", "10 0d 00 04 4d 51 54 54 83 02 00 3c 00 01 61", 1},
		{"the bit at level 5", "10 0e 00 04 4d 51 54 54 85 02 00 3c 00 00 01 61", 1},
		{"a flag that was reserved later", "10 0f 00 06 4d 51 49 73 64 70 03 03 00 3c 00 01 61", 0},
		{"the QoS of no will", "10 0f 00 06 4d 51 49 73 64 70 03 0a 00 3c 00 01 61", 0},
		{"a user that is not there", "10 0f 00 06 4d 51 49 73 64 70 03 82 00 3c 00 01 61", 0},
		{"a password that is not there", "10 12 00 06 4d 51 49 73 64 70 03 c2 00 3c 00 01 61 00 01 75", 0},
		{"a password without a user", "10 12 00 06 4d 51 49 73 64 70 03 42 00 3c 00 01 61 00 01 70", -1},
		{"a will that is not there", "10 0f 00 06 4d 51 49 73 64 70 03 06 00 3c 00 01 61", -1},
		{"bytes behind the end", "10 11 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61 78 78", -1},
		{"3.1.1 with a user that is not there", "10 0d 00 04 4d 51 54 54 04 82 00 3c 00 01 61", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := b.dial(v311)
			x.send(unhex(t, c.packet))
			pk, err := x.next()
			switch {
			case c.code < 0 && err == nil:
				t.Errorf("got %+v", pk)
			case c.code >= 0 && (err != nil || pk.FixedHeader.Type != packets.Connack || int(pk.ReasonCode) != c.code):
				t.Errorf("got %+v, %v, want code %d", pk, err, c.code)
			}
			if c.code != 0 && err == nil {
				x.expectEnd(0)
			}
		})
	}
}

// What MQTT 3.1 sends again has DUP where later versions have a reserved flag.
func TestOlder_flags(t *testing.T) {
	b := startBroker(t, nil)
	for _, packet := range []string{"8a 06 00 01 00 01 61 01", "aa 05 00 01 00 01 61", "6a 02 00 01"} {
		for hello, taken := range map[string]bool{
			"10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61": true, "10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61": false,
		} {
			x := b.dial(v311)
			x.send(unhex(t, hello))
			x.expect(packets.Connack)
			x.send(unhex(t, packet))
			if pk, err := x.next(); (err == nil) != taken {
				t.Errorf("%s behind %s: %+v, %v", packet, hello, pk, err)
			}
		}
	}
}

// A bridge is not sent what it published itself, and is told of the flag with which
// others published.
func TestBridge(t *testing.T) {
	b := startBroker(t, nil)
	for _, hello := range []string{"10 0f 00 06 4d 51 49 73 64 70 83 02 00 3c 00 01 61", "10 0d 00 04 4d 51 54 54 84 02 00 3c 00 01 61"} {
		x := b.dial(v311)
		x.r.in = bufio.NewReader(x.c)
		x.send(unhex(t, hello))
		x.expect(packets.Connack)
		if q := x.subscribe("#", 1); q != 1 {
			t.Errorf("granted %d", q)
		}
		if q := x.subscribe("$share/g/x/#", 0); q != 0 {
			t.Errorf("shared: granted %d", q)
		}
		x.publish("echo", "1", 0, 0)
		x.publish("x/echo", "1", 0, 0)
		pk := x.expect(packets.Publish) // the shared one has no such rule
		if pk.TopicName != "x/echo" {
			t.Errorf("a bridge got %q back", pk.TopicName)
		}
		other := b.connect(v311, "other")
		other.send(unhex(t, "31 04 00 01 62 32")) // with RETAIN
		if pk := x.expect(packets.Publish); pk.TopicName != "b" || !pk.FixedHeader.Retain && b.m.keeps() {
			t.Errorf("got %+v", pk)
		}
		x.c.Close()
		other.c.Close()
	}
}

// CONNACK of MQTT 3.1 has no Session Present, also where the session goes on.
func TestOlder_sessionPresent(t *testing.T) {
	s := &story{t: t, dir: t.TempDir(), clients: make(map[string]*client)}
	s.start()
	for _, c := range []struct{ connect, connack string }{
		{"10 0f 00 06 4d 51 49 73 64 70 03 00 00 3c 00 01 61", "20 02 00 00"},
		{"10 0f 00 06 4d 51 49 73 64 70 03 00 00 3c 00 01 61", "20 02 00 00"},
		{"10 0d 00 04 4d 51 54 54 04 00 00 3c 00 01 61", "20 02 01 00"},
	} {
		nc, err := net.Dial("tcp", s.m.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, 4)
		if _, err := nc.Write(unhex(t, c.connect)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, unhex(t, c.connack)) {
			t.Errorf("%s: %x, %v", c.connect, got, err)
		}
		_, _ = nc.Write([]byte{packets.Disconnect << 4, 0})
		_, _ = io.Copy(io.Discard, nc)
		nc.Close()
	}
}
