package mqtt

import (
	"testing"
)

// What a NATS client writes into a header never makes a packet that ends the
// connection of who hears it: the first of two is the one.
func TestAppendProperties_onceEach(t *testing.T) {
	header := []byte("NATS/1.0\r\nNmqtt-Content-Type-Escaped: =a%0Ab\r\nNmqtt-Content-Type: c\r\n" +
		"Nmqtt-Message-Expiry: 9\r\nNmqtt-Message-Expiry: 8\r\nNmqtt-Response-Topic: other\r\nA: 1\r\nNmqtt-User-Property: A=2\r\n" +
		"Nmqtt-User-Property: A\r\nNmqtt-User-Property: A=%0\r\nNmqtt-User-Property: A=%00\r\nNmqtt-Correlation-Data: =\r\nA: 1\r\n\r\n")
	props := appendProperties(nil, []byte("reply"), header)
	framed := append(appendLength(nil, len(props)), props...)
	if rest, err := skipProperties(framed, publishProperties); err != nil || len(rest) > 0 {
		t.Fatalf("%q: %v", props, err)
	}
	want := "\x08\x00\x05reply" + "\x03\x00\x03a\nb" + "\x02\x00\x00\x00\x09" +
		"\x26\x00\x01A\x00\x011" + "\x26\x00\x01A\x00\x012" + "\x09\x00\x00" + "\x26\x00\x01A\x00\x011"
	if string(props) != want {
		t.Errorf("got  %q\nwant %q", props, want)
	}
}
