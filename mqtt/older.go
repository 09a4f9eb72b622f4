package mqtt

import (
	"github.com/mochi-mqtt/server/v2/packets"
)

// MQTT 3.1, and the bridges of mosquitto, which say by a bit of the protocol level
// that they are one. Neither is in a standard of OASIS; what is done here is what
// mosquitto does. Behind its CONNECT a client of MQTT 3.1 is one of 3.1.1, but for
// older.

const (
	v31 = 3
	// bridgeBit of a protocol level below 5: a bridge, which is not sent what it
	// published itself, and whose messages have the RETAIN flag that they were
	// published with.
	bridgeBit = 0x80

	name31  = "MQIsdp"
	nameNow = "MQTT"
)

// level is how the rest of a CONNECT is read, by its protocol name and level: 0 for
// one that is not supported.
func level(name []byte, b byte) (version byte, bridge bool) {
	switch {
	case string(name) == name31 && b&^bridgeBit == v31, string(name) == nameNow && b&^bridgeBit == v311:
		return b &^ bridgeBit, b&bridgeBit != 0
	case string(name) == nameNow && b == v5:
		return v5, false
	}
	return 0, false
}

// mendOldConnect changes a CONNECT of MQTT 3.1 to one of 3.1.1 that says the same:
// the older protocol had more flags that say nothing, and let the fields be missing
// that they announce.
func mendOldConnect(body []byte) {
	name, rest, ok := text(body)
	if !ok || len(rest) < 4 || rest[0]&^bridgeBit != v31 || string(name) != name31 {
		return
	}
	flags := &rest[1]
	*flags &^= 1 // reserved later
	fields := 1  // the client identifier
	if *flags&flagWill != 0 {
		fields += 2
	} else {
		*flags &^= 0x38 // QoS and retain of no will
	}
	at := rest[4:]
	for range fields {
		if _, at, ok = text(at); !ok {
			return // it will be refused for that
		}
	}
	if len(at) == 0 {
		*flags &^= flagUser | flagPassword
	} else if _, at, ok = text(at); ok && len(at) == 0 && *flags&flagUser != 0 {
		*flags &^= flagPassword
	}
}

// oldFlags lets MQTT 3.1 have any flags where later versions have the one value: it
// sent those packets again, with DUP.
func (c *conn) oldFlags(f *frame) {
	switch f.kind() {
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		if c.older {
			f.first = f.first&0xf0 | 2
		}
	}
}
