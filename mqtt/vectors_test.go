package mqtt

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/mochi-mqtt/server/v2/packets"
)

// fromClient are the packets that clients send.
var fromClient = []byte{packets.Connect, packets.Publish, packets.Puback, packets.Subscribe, packets.Unsubscribe,
	packets.Pingreq, packets.Disconnect}

// The PUBLISH decoder agrees with the codec's on all of the codec's vectors.
func TestVectors_publish(t *testing.T) {
	n := 0
	vectors(func(kind byte, c packets.TPacketCase) {
		if kind != packets.Publish || c.Group == "encode" || c.Packet == nil || len(c.RawBytes) < 2 {
			return
		}
		version := c.Packet.ProtocolVersion
		if version != v5 {
			version = v311
		}
		f, err := scripted(c.RawBytes).next()
		if err != nil {
			return // the length does not fit
		}
		want := &packets.Packet{ProtocolVersion: version}
		if err := want.FixedHeader.Decode(f.first); err != nil {
			return
		}
		want.FixedHeader.Remaining = len(f.body)
		wantErr := want.PublishDecode(bytes.Clone(f.body))
		got, err := parsePublish(f, version)
		if wantErr != nil {
			if err == nil {
				t.Errorf("%q: accepted, the codec says %v", c.Desc, wantErr)
			}
			return
		}
		if err != nil {
			// Stricter than the codec is right where the specification is.
			if c.Expect == nil && c.FailFirst == nil && c.Group != "validate" && c.Primary &&
				len(want.Properties.SubscriptionIdentifier) == 0 { // only servers send those
				t.Errorf("%q: refused: %v", c.Desc, err)
			}
			return
		}
		n++
		if string(got.topic) != want.TopicName || !bytes.Equal(got.payload, want.Payload) || got.id != want.PacketID ||
			got.qos != want.FixedHeader.Qos || got.retain != want.FixedHeader.Retain {
			t.Errorf("%q: got %+v, the codec has %+v", c.Desc, got, want)
		}
	})
	if n < 5 {
		t.Errorf("only %d vectors were compared", n)
	}
}

// PUBLISH of our own is that of the codec, byte by byte, and the codec reads our
// PUBACK.
func TestVectors_encoders(t *testing.T) {
	for _, version := range []byte{v311, v5} {
		for qos := range byte(2) {
			for _, size := range []int{0, 1, 100, 117, 118, 200, 16_250, 16_300, 300_000} {
				pk := &packets.Packet{ProtocolVersion: version, TopicName: "a/b", Payload: bytes.Repeat([]byte("x"), size)}
				pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Qos: qos}
				if qos > 0 {
					pk.PacketID = 300
				}
				var props []byte
				if version == v5 && size%2 == 0 {
					pk.Properties.ContentType = "text"
					pk.Properties.User = []packets.UserProperty{{Key: "k", Val: "v"}}
					props = []byte("\x03\x00\x04text\x26\x00\x01k\x00\x01v")
				}
				want, err := encode(pk.PublishEncode)
				if err != nil {
					t.Fatal(err)
				}
				got := appendPublish(nil, version, qos, pk.PacketID, []byte("a/b"), props, pk.Payload)
				if !bytes.Equal(got, want) {
					t.Errorf("level %d, QoS %d, %d bytes:\ngot  %.60x\nwant %.60x", version, qos, size, got, want)
				}
			}
		}
		for _, code := range []byte{0, 0x10, 0x87} {
			f, err := scripted(appendAck(nil, packets.Puback, version, 300, code)).next()
			if err != nil {
				t.Fatal(err)
			}
			pk := &packets.Packet{ProtocolVersion: version, FixedHeader: packets.FixedHeader{Type: packets.Puback, Remaining: len(f.body)}}
			if version != v5 {
				code = 0
			}
			if err := pk.PubackDecode(f.body); err != nil || pk.PacketID != 300 || pk.ReasonCode != code {
				t.Errorf("PUBACK %#x is %x: %+v %v", code, f.body, pk, err)
			}
		}
	}
}

// Every vector of a packet that clients send is either taken or ends the
// connection with what it deserves: nothing hangs, nothing panics, and what
// the codec's own tests call wrong is not taken.
func TestVectors_connection(t *testing.T) {
	vectors(func(kind byte, c packets.TPacketCase) {
		if !slices.Contains(fromClient, kind) || c.Group == "encode" || c.Packet == nil || len(c.RawBytes) < 2 || kind == packets.Connect {
			return
		}
		version := c.Packet.ProtocolVersion
		if version != v5 {
			version = v311
		}
		f, err := scripted(c.RawBytes).next()
		if err != nil {
			return // cut off: the connection would wait for the rest
		}
		t.Run(fmt.Sprintf("%s %s", packets.PacketNames[kind], c.Desc), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				x := b.pipeConnected(version, "c", nil)
				whole := appendLength([]byte{f.first}, len(f.body))
				whole = append(append(whole, f.body...), packets.Pingreq<<4, 0)
				go func() { _, _ = x.c.Write(whole) }()
				alive := false
				for {
					pk, err := x.next()
					if err != nil {
						break
					}
					if pk.FixedHeader.Type == packets.Pingresp {
						alive = true
						break
					}
				}
				x.c.Close()
				b.stop()
				if bad := c.Expect != nil || c.FailFirst != nil; bad && alive && c.Group == "decode" {
					t.Errorf("taken, the codec says %v %v", c.Expect, c.FailFirst)
				}
			})
		})
	})
}

// CONNECT vectors end in an answer or in the end of the connection.
func TestVectors_connect(t *testing.T) {
	accepted := 0
	vectors(func(kind byte, c packets.TPacketCase) {
		if kind != packets.Connect || c.Group == "encode" || len(c.RawBytes) < 2 {
			return
		}
		if _, err := scripted(c.RawBytes).next(); err != nil {
			return
		}
		t.Run(c.Desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				x := b.pipe(v311)
				go func() { _, _ = x.c.Write(c.RawBytes) }()
				f, err := x.r.next()
				took := err == nil && f.kind() == packets.Connack && len(f.body) >= 2 && f.body[1] == 0
				x.c.Close()
				b.stop()
				if took && (c.Expect != nil || c.FailFirst != nil) {
					t.Errorf("taken, the codec says %v %v", c.Expect, c.FailFirst)
				}
				if took {
					accepted++
				}
			})
		})
	})
	if accepted < 2 {
		t.Errorf("only %d vectors were accepted", accepted)
	}
}
