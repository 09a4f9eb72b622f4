package mqtt

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
)

// Clients on a Unix socket, with no port beside it, are asked who they are with
// what the system says of them, and are shown by the socket.
func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	asked := make(chan *auth.Request, 1)
	b := startBroker(t, func(b *broker) {
		b.Opts.MQTT.Port = 0
		b.Opts.MQTT.Unix.Path = path
		b.Auth = func(r *auth.Request) (*auth.Grant, error) {
			asked <- r
			return &auth.Grant{Account: config.GlobalAccount, User: "alice"}, nil
		}
	})
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{t, nc, framer{in: bufio.NewReader(nc), limit: 1 << 20, pool: &b.m.readBuffers}, v5}
	c.send(c.connectPacket("dev", nil))
	if pk := c.expect(packets.Connack); pk.ReasonCode != 0 {
		t.Fatalf("CONNACK %d", pk.ReasonCode)
	}
	if p := (<-asked).Peer; p == nil || p.UID != uint32(os.Getuid()) || !slices.Contains(p.Groups, uint32(os.Getgid())) {
		t.Errorf("asked who %+v is", p)
	}
	if code := c.subscribe("a", 0); code != 0 {
		t.Fatalf("SUBACK %d", code)
	}
	c.publish("a", "hi", 0, 0)
	if pk := c.expect(packets.Publish); string(pk.Payload) != "hi" {
		t.Errorf("got %q", pk.Payload)
	}
	all := b.Conns.Open()
	if len(all) != 1 {
		t.Fatalf("%d connections", len(all))
	}
	if i := all[0].Describe(false, false); i.IP != "unix:"+path || i.UID == nil || *i.UID != uint32(os.Getuid()) {
		t.Errorf("described as %+v", i)
	}
}
