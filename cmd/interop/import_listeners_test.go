package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestImport_listeners: a mosquitto with users of each listener, and the frond that is
// made of its configuration, let in the same clients by the same ports, and no others.
func TestImport_listeners(t *testing.T) {
	passwd, broker := mosquittoTool(t, "mosquitto_passwd"), mosquittoTool(t, "mosquitto")
	t.Parallel()
	dir := t.TempDir()
	users := func(name, user, password string) string {
		file := filepath.Join(dir, name)
		run(t, passwd, "-b", "-c", file, user, password)
		return file
	}
	far, both := users("far", "far", "one"), users("both", "both", "two")
	acl := filepath.Join(dir, "acl")
	ok(t, os.WriteFile(acl, []byte("user far\ntopic write far/#\n"), 0o600))
	ports := []string{freePort(t), freePort(t), freePort(t)}
	conf := filepath.Join(dir, "mosquitto.conf")
	ok(t, os.WriteFile(conf, fmt.Appendf(nil, `per_listener_settings true
listener %s 127.0.0.1
allow_anonymous true
listener %s 127.0.0.1
password_file %s
acl_file %s
listener %s 127.0.0.1
allow_anonymous true
password_file %s
`, ports[0], ports[1], far, acl, ports[2], both), 0o600))

	args := []string{"-c", conf}
	if os.Geteuid() == 0 { // else it drops to a user that can not read the files
		ok(t, os.Chmod(dir, 0o755))
		root := filepath.Join(dir, "root.conf")
		ok(t, os.WriteFile(root, append(must[[]byte](t)(os.ReadFile(conf)), "user root\n"...), 0o600))
		args = []string{"-c", root}
	}
	m := background(t, broker, args...)
	want := letIn(t, m, ports)
	ok(t, m.Stop(step))

	frond := binary(t, peers.FrondKind)
	text := string(must[[]byte](t)(importOf(frond, conf)))
	text = strings.NewReplacer("127.0.0.1:4222", "127.0.0.1:"+freePort(t), "/var/lib/frond", filepath.Join(dir, "data")).Replace(text)
	made := filepath.Join(dir, "frond.conf")
	ok(t, os.WriteFile(made, []byte(text), 0o600))
	f := background(t, frond, "-c", made)
	got := letIn(t, f, ports)
	ok(t, f.Stop(step))
	if got != want {
		t.Errorf("frond:\n%s\nmosquitto:\n%s\nof\n%s", got, want, text)
	}
}

// importOf is the configuration; what is not carried is told by exit code 2.
func importOf(frond, conf string) ([]byte, error) {
	out, err := exec.Command(frond, "import", "mosquitto", conf).Output()
	if e, is := err.(*exec.ExitError); is && e.ExitCode() == 2 {
		err = nil
	}
	return out, err
}

// letIn tries who is let in where, and what a user of one listener may publish.
func letIn(t *testing.T, p *peers.Process, ports []string) string {
	t.Helper()
	var told strings.Builder
	try := func(port, user, password string) (mqtt.Client, error) {
		o := mqtt.NewClientOptions().AddBroker("tcp://" + net.JoinHostPort("127.0.0.1", port)).SetProtocolVersion(4).
			SetAutoReconnect(false).SetConnectTimeout(step).SetUsername(user).SetPassword(password)
		c := mqtt.NewClient(o)
		k := c.Connect()
		k.WaitTimeout(step)
		return c, k.Error()
	}
	for i, port := range ports {
		eventually(t, step, func() error {
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
			if err != nil {
				return fmt.Errorf("%w: %s", err, p.Output())
			}
			return c.Close()
		})
		for _, who := range [][2]string{{"", ""}, {"far", "one"}, {"far", "two"}, {"both", "two"}} {
			if i == 0 && who[0] != "" {
				continue // told: mosquitto takes any name there, frond none
			}
			c, err := try(port, who[0], who[1])
			fmt.Fprintf(&told, "listener %d, %q with %q: %v\n", i, who[0], who[1], err)
			if err == nil {
				c.Disconnect(0)
			}
		}
	}
	hears, err := try(ports[0], "", "")
	ok(t, err)
	defer hears.Disconnect(0)
	got := retainedInbox(t, hears, "#", 1)
	c, err := try(ports[1], "far", "one")
	ok(t, err)
	defer c.Disconnect(0)
	for _, topic := range []string{"near/no", "far/yes"} {
		token(t, c.Publish(topic, 1, false, "x"))
	}
	fmt.Fprintln(&told, "heard", gathered(t, hears, got, 1))
	return told.String()
}
