package interop

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// A device whose message a stream has no room for in memory is not told that it is
// stored: MQTT 5 hears why and goes on, 3.1.1 is closed without a PUBACK.
func TestMQTT_noRoomInMemory(t *testing.T) {
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	e := startSmall(t, []string{"/usr/bin/env", "GOMEMLIMIT=4000000"})
	e.ask(t, "$JS.API.STREAM.CREATE.T", `{"name":"T","subjects":["t"]}`)
	for _, version := range []byte{5, 4} {
		c := dial(t, e.mqtt)
		ok(t, c.SetDeadline(time.Now().Add(step)))
		connect := "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
		publish := "\x32\x06\x00\x01t\x00\x01x"
		if version == 5 {
			connect = "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c"
			publish = "\x32\x07\x00\x01t\x00\x01\x00x"
		}
		_, err := io.WriteString(c, connect)
		ok(t, err)
		head := make([]byte, 2)
		_, err = io.ReadFull(c, head)
		ok(t, err)
		_, err = io.ReadFull(c, make([]byte, head[1])) // CONNACK
		ok(t, err)
		code, err := puback(c, publish)
		for version == 5 && err == nil && code == 0 { // the first second is not measured yet
			code, err = puback(c, publish)
		}
		switch {
		case version == 5 && (err != nil || code < 0x80):
			t.Errorf("MQTT 5: PUBACK %#x, %v", code, err)
		case version == 4 && err != io.EOF:
			t.Errorf("MQTT 3.1.1: PUBACK %#x, %v", code, err)
		}
	}
}

// puback publishes and gives the reason of the answer.
func puback(c net.Conn, publish string) (code byte, err error) {
	if _, err := io.WriteString(c, publish); err != nil {
		return 0, err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return 0, err
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, err
	}
	if len(body) > 2 {
		code = body[2]
	}
	return code, nil
}
