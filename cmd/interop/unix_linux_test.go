package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// unixDialer dials a socket whatever address it is given.
type unixDialer string

func (d unixDialer) Dial(_, _ string) (net.Conn, error) { return net.Dial("unix", string(d)) }

// Programs of the machine come in over Unix sockets without a password: nats.go,
// which has none to give, and mosquitto's tools, which give none.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	dir := must[string](t)(os.MkdirTemp("", "frond"))
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := func(name string) string { return filepath.Join(dir, name) }
	users := fmt.Sprintf("[ {uid: %d, user: up} ]", os.Getuid())
	c := mqttServer
	c.MQTT = false
	c.Extra += fmt.Sprintf(`
		authorization { users: [ { user: up, password: secret }, { user: other, password: secret } ] }
		unix_socket { path: %q, mode: 0600, users: %s }
		mqtt { unix_socket { path: %q, mode: 0600, users: %s } }
	`, sock("nats"), users, sock("mqtt"), users)
	s := start(t, peers.FrondKind, c)
	nc := connect(t, s, nats.SetCustomDialer(unixDialer(sock("nats"))))
	sub := must[*nats.Subscription](t)(nc.SubscribeSync("a.b"))
	ok(t, nc.Publish("a.b", []byte("nats")))
	if m := must[*nats.Msg](t)(sub.NextMsg(step)); string(m.Data) != "nats" {
		t.Errorf("got %q", m.Data)
	}
	if _, err := nats.Connect(s.URL(), nats.SetCustomDialer(unixDialer(sock("nats"))), nats.UserInfo("other", "wrong")); err == nil {
		t.Error("another user came in with a wrong password")
	}
	if _, err := nats.Connect(s.URL()); err == nil {
		t.Error("over TCP somebody came in without a password")
	}
	t.Run("mosquitto_pub", func(t *testing.T) {
		pub := mosquittoTool(t, "mosquitto_pub")
		if out, err := exec.CommandContext(within(t, step), pub, "--unix", sock("mqtt"), "-q", "1", "-t", "a/b", "-m", "mqtt").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if m := must[*nats.Msg](t)(sub.NextMsg(step)); string(m.Data) != "mqtt" {
			t.Errorf("got %q", m.Data)
		}
	})
}
