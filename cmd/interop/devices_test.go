package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// atBoth runs the same steps of a program of devices against a mosquitto and a frond;
// what was seen has to be the same.
func atBoth(t *testing.T, steps func(t *testing.T, host, port string) []string) {
	t.Helper()
	mosquittoTool(t, "mosquitto")
	t.Parallel()
	m := must[*peers.Mosquitto](t)(peers.StartMosquitto(within(t, time.Minute), t.TempDir(), ""))
	t.Cleanup(m.Kill)
	seen := func(addr string) string {
		host, port := must2(t)(net.SplitHostPort(addr))
		return strings.Join(steps(t, host, port), "\n")
	}
	want := seen(m.Addr)
	got := seen(start(t, peers.FrondKind, mqttServer).MQTTAddr())
	if got != want {
		t.Errorf("at frond:\n%s\nat mosquitto:\n%s", got, want)
	}
	if testing.Verbose() {
		t.Log("\n" + got)
	}
}

func must2(t testing.TB) func(a, b string, err error) (string, string) {
	return func(a, b string, err error) (string, string) {
		t.Helper()
		ok(t, err)
		return a, b
	}
}

// program is the path of one that the machine may not have.
func program(t testing.TB, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path = filepath.Join("/usr/sbin", name); !exists(path) {
			t.Skipf("%s is not installed (%s)", name, from)
		}
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run is what a program prints that has to end well.
func run(t testing.TB, path string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(within(t, step), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// background is a program that is ended by the test, at the latest.
func background(t testing.TB, path string, args ...string) *peers.Process {
	t.Helper()
	p := must[*peers.Process](t)(peers.Spawn(filepath.Base(path), path, args...))
	t.Cleanup(p.Kill)
	return p
}

// prints waits for what a program prints.
func prints(t testing.TB, p *peers.Process, text string) {
	t.Helper()
	eventually(t, step, func() error {
		if strings.Contains(p.Output(), text) {
			return nil
		}
		return fmt.Errorf("no %q in %q", text, p.Output())
	})
}

// TestDevice_mosquitto_clients: each version and quality of service, live, retained,
// into a kept session, and a request with its answer.
func TestDevice_mosquitto_clients(t *testing.T) {
	pub, sub, rr := mosquittoTool(t, "mosquitto_pub"), mosquittoTool(t, "mosquitto_sub"), mosquittoTool(t, "mosquitto_rr")
	atBoth(t, func(t *testing.T, host, port string) (told []string) {
		at := func(tool string, args ...string) string {
			return run(t, tool, append([]string{"-h", host, "-p", port}, args...)...)
		}
		for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
			kept := []string{"-V", v, "-i", "kept-" + v, "-c", "-q", "2", "-t", v + "/#"}
			if v == "mqttv5" {
				kept = append(kept, "-x", "600")
			}
			at(sub, append(kept, "-E")...)
			for _, q := range []string{"0", "1", "2"} {
				at(pub, "-V", v, "-i", "pub", "-q", q, "-t", v+"/kept", "-m", "with "+q)
				at(pub, "-V", v, "-i", "pub", "-q", q, "-t", v+"/retained/"+q, "-m", "retained with "+q, "-r")
			}
			// Two of QoS 1 and 2 each, and three that are retained, in no order between these.
			told = append(told, v+", kept", sorted(at(sub, append(kept, "-C", "7", "-F", "%t %q %r %p")...)))
			told = append(told, v+", retained", sorted(at(sub, "-V", v, "-i", "late", "-q", "1", "-t", v+"/retained/+", "-C", "3", "-F", "%t %q %r %p")))
		}
		for _, q := range []string{"0", "1", "2"} {
			answerer := background(t, sub, "-h", host, "-p", port, "-V", "mqttv5", "-t", "ask", "-C", "1", "-F", "%R %D %p", "-q", q)
			retry := make(chan string, 1)
			asked := exec.CommandContext(within(t, step), rr, "-h", host, "-p", port, "-V", "mqttv5", "-q", q, "-t", "ask", "-e", "answer/"+q, "-D", "publish", "correlation-data", "c"+q, "-m", "what", "-W", "15")
			go func() { // until the answerer is there
				out, err := asked.CombinedOutput()
				retry <- fmt.Sprint(strings.TrimSpace(string(out)), " ", err)
			}()
			// The question may be in front of the subscription: it is asked again.
			eventually(t, step, func() error {
				select {
				case <-answerer.Done():
					return nil
				default:
				}
				at(pub, "-V", "mqttv5", "-q", q, "-t", "ask", "-m", "what", "-D", "publish", "response-topic", "answer/"+q, "-D", "publish", "correlation-data", "c"+q)
				return fmt.Errorf("nobody was asked: %s", answerer.Output())
			})
			told = append(told, "asked with "+q, strings.TrimSpace(answerer.Output()))
			eventually(t, step, func() error {
				at(pub, "-V", "mqttv5", "-q", q, "-t", "answer/"+q, "-m", "that", "-D", "publish", "correlation-data", "c"+q)
				select {
				case got := <-retry:
					told = append(told, "answered with "+q, got)
					return nil
				default:
					return fmt.Errorf("no answer")
				}
			})
		}
		return told
	})
}

func sorted(lines string) string {
	list := strings.Split(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// TestDevice_paho_c: the sample programs of Debian, of the synchronous library and the
// other one.
func TestDevice_paho_c(t *testing.T) {
	const from = "Debian package paho.mqtt.c-examples"
	for _, lib := range []string{"paho_c", "paho_cs"} {
		t.Run(lib, func(t *testing.T) {
			pub, sub := program(t, lib+"_pub", from), program(t, lib+"_sub", from)
			atBoth(t, func(t *testing.T, host, port string) (told []string) {
				for v, qos := range map[string][]string{"311": {"1", "2"}, "5": {"2"}} { // each takes a second
					where := []string{"-h", host, "-p", port, "-V", v, "-q", "2"}
					token(t, client3(t, net.JoinHostPort(host, port), nil).Publish("c/"+v+"/state", 1, true, "ready"))
					// It prints by lines to a terminal only.
					s := background(t, "/usr/bin/stdbuf", append([]string{"-oL", sub}, append(where, "-t", "c/"+v+"/#", "-i", "s")...)...)
					prints(t, s, "c/"+v+"/state\tready")
					for _, q := range qos {
						run(t, pub, "-h", host, "-p", port, "-V", v, "-q", q, "-t", "c/"+v+"/"+q, "-m", "with "+q, "-i", "p")
						prints(t, s, "c/"+v+"/"+q+"\twith "+q)
					}
					_ = s.Signal(syscall.SIGINT)
					<-s.Done()
					told = append(told, fmt.Sprint(v, " ", strings.ReplaceAll(s.Output(), net.JoinHostPort(host, port), "BROKER"), " ", s.Err()))
				}
				slices.Sort(told) // the versions come in any order
				return told
			})
		})
	}
}

// TestDevice_paho_python runs devices/steps.py with Debian's Python and paho: kept
// sessions, wills, retained messages, properties.
func TestDevice_paho_python(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import paho.mqtt.client").Run(); err != nil {
		t.Skipf("%s has no paho (Debian package python3-paho-mqtt): %v", python, err)
	}
	atBoth(t, func(t *testing.T, host, port string) []string {
		return []string{run(t, python, "devices/steps.py", host, port)}
	})
}

// nodeSteps runs a script of devices with packages of npm, which .ci/run installs.
func nodeSteps(t *testing.T, script string, packages ...string) {
	node := program(t, "node", "Node.js")
	cache := must[string](t)(os.UserCacheDir())
	dir := filepath.Join(cache, "frond-interop", "node", "node_modules")
	for _, p := range packages {
		if !exists(filepath.Join(dir, p)) {
			t.Skipf("%s is not there: .ci/run installs it into %s", p, filepath.Dir(dir))
		}
	}
	atBoth(t, func(t *testing.T, host, port string) []string {
		cmd := exec.CommandContext(within(t, 2*step), node, "devices/"+script, host, port)
		cmd.Env = append(os.Environ(), "NODE_PATH="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return []string{strings.TrimSpace(string(out))}
	})
}

func TestDevice_mqttjs(t *testing.T) { nodeSteps(t, "steps.js", "mqtt") }

// TestDevice_sparkplug: an edge node and a host by sparkplug-client: births, data,
// commands, the death by the will, and by a takeover.
func TestDevice_sparkplug(t *testing.T) { nodeSteps(t, "sparkplug.js", "mqtt", "sparkplug-client") }

// TestDevice_collectd: what it publishes, and what it hears that was published while it
// was away (CleanSession false).
func TestDevice_collectd(t *testing.T) {
	collectd := program(t, "collectd", "Debian package collectd-core")
	if !exists("/usr/lib/collectd/mqtt.so") {
		t.Skip("collectd has no mqtt plugin here (Debian package libmosquitto1)")
	}
	atBoth(t, func(t *testing.T, host, port string) (told []string) {
		dir := t.TempDir()
		conf := filepath.Join(dir, "collectd.conf")
		ok(t, os.WriteFile(conf, fmt.Appendf(nil, `
Hostname "box"
BaseDir %[1]q
PIDFile %[2]q
Interval 1
LoadPlugin logfile
<Plugin logfile>
  File stdout
</Plugin>
LoadPlugin uptime
LoadPlugin csv
<Plugin csv>
  DataDir %[3]q
</Plugin>
LoadPlugin mqtt
<Plugin mqtt>
  <Publish "out">
    Host %[4]q
    Port %[5]q
    ClientId "collectd-out"
    QoS 1
    Retain true
  </Publish>
  <Subscribe "in">
    Host %[4]q
    Port %[5]q
    ClientId "collectd-in"
    QoS 2
    Topic "far/#"
    CleanSession false
  </Subscribe>
</Plugin>
`, dir, filepath.Join(dir, "pid"), filepath.Join(dir, "csv"), host, port), 0o600))
		c := client3(t, net.JoinHostPort(host, port), nil)
		got := make(chan mqtt.Message, 100)
		token(t, c.Subscribe("collectd/#", 1, func(_ mqtt.Client, m mqtt.Message) { got <- m }))
		p := background(t, collectd, "-f", "-C", conf)
		select {
		case m := <-got:
			told = append(told, fmt.Sprint("published ", m.Topic(), " ", m.Qos(), " ", strings.Count(string(m.Payload()), ":"), " ", strings.HasSuffix(string(m.Payload()), "\x00")))
		case <-time.After(step):
			t.Fatalf("collectd published nothing: %s", p.Output())
		}
		hears := func(file string) {
			t.Helper()
			eventually(t, step, func() error {
				all, _ := filepath.Glob(filepath.Join(dir, "csv", "far-box", file, "*"))
				if len(all) == 0 {
					return fmt.Errorf("no %s: %s", file, p.Output())
				}
				return nil
			})
			told = append(told, "heard "+file)
		}
		// Until it has subscribed.
		eventually(t, step, func() error {
			token(t, c.Publish("far/far-box/uptime-live/uptime", 1, false, fmt.Sprintf("%d:1", time.Now().Unix())))
			if all, _ := filepath.Glob(filepath.Join(dir, "csv", "far-box", "uptime-live", "*")); len(all) > 0 {
				return nil
			}
			return fmt.Errorf("not subscribed: %s", p.Output())
		})
		hears("uptime-live")
		p.Kill()
		<-p.Done()
		for _, q := range []byte{1, 2} {
			token(t, c.Publish(fmt.Sprintf("far/far-box/uptime-away%d/uptime", q), q, false, fmt.Sprintf("%d:2", time.Now().Unix())))
		}
		p = background(t, collectd, "-f", "-C", conf)
		hears("uptime-away1")
		hears("uptime-away2")
		ok(t, p.Stop(step))
		return told
	})
}

// TestDevice_esp: raw packets as the firmware of microcontrollers sends them. Neither
// library is Go: what they send was written down from their documentation of the
// protocol, field by field.
func TestDevice_esp(t *testing.T) {
	atBoth(t, func(t *testing.T, host, port string) (told []string) {
		addr := net.JoinHostPort(host, port)
		dial := func() *device { return &device{t, must[net.Conn](t)(net.DialTimeout("tcp", addr, step)), &told} }
		watch := retainedInbox(t, client3(t, addr, nil), "esp/#", 1)
		seen := func(n int) {
			t.Helper()
			for range n {
				select {
				case m := <-watch:
					told = append(told, "  seen "+m)
				case <-time.After(step):
					t.Fatalf("nothing is seen behind %q", told)
				}
			}
		}
		// esp-mqtt: a kept session, keep alive 120, a retained will with QoS 1. It
		// publishes with QoS 1, is cut, and sends what had no PUBACK again with DUP.
		connect := packet(0x10, "\x00\x04MQTT\x04\x2c\x00\x78"+text16("ESP32_a1b2c3")+text16("esp/lwt")+text16("offline"))
		d := dial()
		d.says("CONNECT", connect, 4)
		d.says("SUBSCRIBE", packet(0x82, "\x00\x01"+text16("esp/cmd")+"\x01"), 5)
		d.says("PUBLISH", packet(0x33, text16("esp/lwt")+"\x00\x02online"), 4)
		seen(1)
		d.says("PINGREQ", "\xc0\x00", 2)
		d.write(packet(0x32, text16("esp/temp")+"\x00\x0321"))
		seen(1)
		ok(t, d.Close()) // and has not read the PUBACK
		seen(1)          // the will
		d = dial()
		d.says("CONNECT again", connect, 4)
		d.says("PUBLISH again", packet(0x3a, text16("esp/temp")+"\x00\x0321"), 4)
		seen(1)
		back := client3(t, addr, nil)
		token(t, back.Publish("esp/cmd", 1, false, "on"))
		seen(1)
		d.says("a command", "", 2+9+2+2)
		d.write("\x40\x02\x00\x01")
		d.write("\xe0\x00")
		d.ends()

		// PubSubClient: a clean session, keep alive 15, a payload in pieces, and all with
		// QoS 0. Its buffer is 256 bytes.
		d = dial()
		d.says("CONNECT", packet(0x10, "\x00\x04MQTT\x04\x02\x00\x0f"+text16("arduinoClient")), 4)
		d.says("SUBSCRIBE", packet(0x82, "\x00\x02"+text16("esp/in")+"\x00"), 5)
		d.write("\x31\xac\x02" + text16("esp/big")) // 300 bytes: 9 and 291 of payload
		for range 97 {
			d.write("abc") // one write of the sketch after the other
		}
		seen(1)
		token(t, back.Publish("esp/in", 0, false, "hello"))
		seen(1)
		d.says("a message", "", 2+8+5)
		d.says("PINGREQ", "\xc0\x00", 2)
		d.write("\xe0\x00")
		d.ends()
		return told
	})
}

// packet is one of less than 128 bytes.
func packet(first byte, body string) string { return string([]byte{first, byte(len(body))}) + body }

// device is a connection of raw packets.
type device struct {
	t testing.TB
	net.Conn
	told *[]string
}

func (d *device) write(b string) {
	d.t.Helper()
	must[int](d.t)(io.WriteString(d.Conn, b))
}

// says sends a packet and notes the n bytes that come.
func (d *device) says(what, b string, n int) {
	d.t.Helper()
	d.write(b)
	got := make([]byte, n)
	_ = d.SetReadDeadline(time.Now().Add(step))
	if _, err := io.ReadFull(d.Conn, got); err != nil {
		d.t.Fatalf("%s: %x, %v", what, got, err)
	}
	*d.told = append(*d.told, fmt.Sprintf("%s: %x", what, got))
}

// ends notes that the server closes, and says nothing more.
func (d *device) ends() {
	d.t.Helper()
	_ = d.SetReadDeadline(time.Now().Add(step))
	rest, err := io.ReadAll(d.Conn)
	*d.told = append(*d.told, fmt.Sprintf("ends: %x %v", rest, err))
}
