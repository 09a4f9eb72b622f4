package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestImport_mosquitto: users, rights and retained messages of a mosquitto are those
// of the frond that was made of it: the same steps, with the same result.
func TestImport_mosquitto(t *testing.T) {
	passwd := mosquittoTool(t, "mosquitto_passwd")
	mosquittoTool(t, "mosquitto")
	dir := t.TempDir()
	hashes := filepath.Join(dir, "users")
	ok(t, os.WriteFile(hashes, nil, 0o600))
	for user, password := range map[string]string{"admin": "all of it", "dev": "secret word"} {
		if out, err := exec.Command(passwd, "-b", hashes, user, password).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	acl := filepath.Join(dir, "rights")
	ok(t, os.WriteFile(acl, []byte("user admin\ntopic #\nuser dev\ntopic read plant/+/set\ntopic plant/shared\ntopic deny plant/shared/no\npattern readwrite own/%u/%c/#\n"), 0o600))
	extra := "allow_anonymous false\npassword_file " + hashes + "\nacl_file " + acl + "\n"
	home := t.TempDir()
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), home, extra))
	t.Cleanup(m.Kill)
	results := map[string]string{"mosquitto": imported(t, m.Addr)}
	ok(t, m.Stop())

	frond := binary(t, peers.FrondKind)
	conf, db := filepath.Join(home, "mosquitto.conf"), filepath.Join(home, "mosquitto.db")
	text := must[[]byte](t)(exec.Command(frond, "import", "mosquitto", conf).Output())
	_, users, found := strings.Cut(string(text), "authorization {")
	if !found {
		t.Fatalf("no users in %s", text)
	}
	s := start(t, peers.FrondKind, peers.Config{Name: "made", JetStream: true, MQTT: true, Extra: "authorization {" + users})
	out, err := exec.Command(frond, "import", "mosquitto", conf, "--db", db, "--to", "mqtt://admin:all%20of%20it@"+s.MQTTAddr()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "retained messages sent: 2 of 2") {
		t.Fatalf("%v: %s", err, out)
	}
	kept := func(addr string) string {
		c := client3(t, addr, func(o *mqtt.ClientOptions) { o.SetUsername("admin").SetPassword("all of it") })
		return strings.Join(gathered(t, c, retainedInbox(t, c, "kept/#", 1), 2), "\n")
	}
	if got := kept(s.MQTTAddr()); got != "kept/blank here 1 true 2\nkept/plain 1 true 1" {
		t.Errorf("retained: %s", got)
	}
	results["frond"] = imported(t, s.MQTTAddr())
	if results["frond"] != results["mosquitto"] {
		t.Errorf("mosquitto:\n%s\nfrond:\n%s", results["mosquitto"], results["frond"])
	}
}

// imported are the steps.
func imported(t *testing.T, addr string) string {
	pub := mosquittoTool(t, "mosquitto_pub")
	var told strings.Builder
	for user, password := range map[string]string{"dev": "wrong", "nobody": "x", "": ""} {
		o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetAutoReconnect(false).SetConnectTimeout(step).SetUsername(user).SetPassword(password).SetProtocolVersion(4)
		k := mqtt.NewClient(o).Connect()
		if k.WaitTimeout(step); k.Error() == nil {
			fmt.Fprintf(&told, "%q is let in\n", user)
		}
	}
	admin := client3(t, addr, func(o *mqtt.ClientOptions) { o.SetUsername("admin").SetPassword("all of it") })
	token(t, admin.Publish("kept/plain", 0, true, "1"))
	token(t, admin.Publish("kept/blank here", 1, true, "2"))
	all := retainedInbox(t, admin, "#", 1)
	gathered(t, admin, all, 2)
	// By a connection each: mosquitto 2.0.11 closes who may not publish.
	host, port, _ := net.SplitHostPort(addr)
	for _, topic := range []string{"plant/1/set", "plant/shared", "plant/shared/no", "own/dev/lamp 1", "own/dev/lamp 1/x", "own/dev/lamp 2/x", "own/admin/lamp 1", "else", "own/%u/%c"} {
		_ = exec.CommandContext(within(t, step), pub, "-h", host, "-p", port, "-u", "dev", "-P", "secret word", "-i", "lamp 1", "-q", "1", "-t", topic, "-m", "x").Run()
	}
	dev := client3(t, addr, func(o *mqtt.ClientOptions) { o.SetClientID("lamp 1").SetUsername("dev").SetPassword("secret word") })
	token(t, dev.Publish("plant/shared", 1, false, "fence"))
	for m := range all {
		if strings.HasSuffix(m, "fence") {
			break
		}
		fmt.Fprintf(&told, "dev publishes: %s\n", m)
	}
	heard := retainedInbox(t, dev, "own/dev/lamp 1/#", 1)
	set := retainedInbox(t, dev, "plant/+/set", 1)
	token(t, admin.Publish("plant/7/set", 1, false, "on"))
	token(t, admin.Publish("own/dev/lamp 1/do", 1, false, "it"))
	fmt.Fprintf(&told, "dev hears: %s, %s\n", gathered(t, dev, heard, 1), gathered(t, dev, set, 1))
	if testing.Verbose() {
		t.Log(told.String())
	}
	return told.String()
}
