package mqtt

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/subject"
)

func TestLevelToken(t *testing.T) {
	for name, want := range map[string]string{"dev": "dev", "a.b": "a//b", "a b": "a/%20b", "*": "/%2A", "a/b": "", "+": "", "a#": "", "": "", "\xff": ""} {
		if got := levelToken(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

// A device has its own topics by its client identifier, as with mosquitto's patterns.
func TestPermissions_names(t *testing.T) {
	p, err := subject.NewPermissions(&subject.Rules{Allow: []string{"from.%u.%c"}}, &subject.Rules{Allow: []string{"to.%c", "to.%c.>"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := auth.NewDirectory([]auth.User{{Name: "dev.1", Password: "p", Permissions: p}}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, func(b *broker) { b.Auth = d.Authenticate })
	login := func(pk *packets.Packet) {
		pk.Connect.UsernameFlag, pk.Connect.PasswordFlag = true, true
		pk.Connect.Username, pk.Connect.Password = []byte("dev.1"), []byte("p")
	}
	publishes := func(id string, codes map[string]byte) *client {
		c := b.dial(v5)
		c.send(c.connectPacket(id, login))
		c.expect(packets.Connack)
		for topic, want := range codes {
			c.publish(topic, "x", 1, 7)
			if a := c.expect(packets.Puback); a.ReasonCode != want {
				t.Errorf("%s: %#x", topic, a.ReasonCode)
			}
		}
		return c
	}
	c := publishes("lamp 1", map[string]byte{"from/dev.1/lamp 1": 0x10, "from/dev.1/lamp 2": 0x87, "from/%u/%c": 0x87})
	if q := c.subscribe("to/lamp 1/#", 0); q != 0 {
		t.Errorf("SUBACK %#x", q)
	}
	if q := c.subscribe("to/lamp 2/x", 0); q != 0x87 {
		t.Errorf("SUBACK %#x", q)
	}
	publishes("lamp/1", map[string]byte{"from/dev.1/lamp/1": 0x87, "from/dev.1/lamp": 0x87, "from/dev.1/%c": 0x87})
	// An identifier that the server has given is one.
	c = b.dial(v5)
	c.send(c.connectPacket("", login))
	id := c.expect(packets.Connack).Properties.AssignedClientID
	if c.publish("from/dev.1/"+id, "x", 1, 7); c.expect(packets.Puback).ReasonCode != 0x10 {
		t.Error("who was given an identifier has no rights by it")
	}
}
