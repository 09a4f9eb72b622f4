package interop

import (
	"bufio"
	"fmt"
	"io"
	stdlog "log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// TestMQTT_exact_killed kills a server with -9 again and again while a client publishes
// with QoS 2 and three have kept sessions that take it with QoS 2. All are processes of
// their own that keep their state in files, and are killed too. Each message comes once.
// (Two readers and the publisher are ours: paho for Go forgets that it has sent PUBREL,
// and sends the PUBLISH again behind it, which is a new message for any server.)
func TestMQTT_exact_killed(t *testing.T) {
	const kills, each = 15, 400
	s := frondOnly(t)
	dir := t.TempDir()
	var readers []*exactProcess
	for _, role := range []string{"reader", "reader2", "paho"} {
		r := newExactProcess(t, role, s.MQTTAddr(), dir)
		r.start()
		r.answer() // it has subscribed
		readers = append(readers, r)
	}
	publisher := newExactProcess(t, "publisher", s.MQTTAddr(), dir)
	publisher.start()
	for n := range kills {
		publisher.ask(strconv.Itoa((n + 1) * each))
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		s.Kill()
		readers[n%3].kill()
		if n%4 == 0 {
			publisher.kill()
		}
		restart(t, s)
		readers[n%3].start()
		if n%4 == 0 {
			publisher.start()
			publisher.ask(strconv.Itoa((n + 1) * each))
		}
		publisher.answer()
	}
	for i, role := range []string{"reader", "reader2", "paho"} {
		exactlyOnce(t, role, filepath.Join(dir, role), kills*each)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, role+".log"))
			t.Fatalf("what %s says:\n%s\n%s", role, readers[i].said(), tail(string(log), 60))
		}
	}
}

// exactlyOnce waits until a reader has so many messages.
func exactlyOnce(t *testing.T, role, file string, all int) {
	t.Helper()
	begun := time.Now()
	texts := func() (list []string) {
		for _, line := range exactLines(t, file) {
			if text, ok := strings.CutPrefix(line, "M "); ok {
				list = append(list, strings.Fields(text)[1])
			}
		}
		return list
	}
	// A busy machine takes its time, and paho writes a file for each message.
	for n, end := 0, time.Now().Add(time.Minute); n < all && time.Now().Before(end); {
		<-time.After(50 * time.Millisecond)
		if now := len(texts()); now > n {
			n, end = now, time.Now().Add(time.Minute)
		}
	}
	t.Logf("%s took %v", role, time.Since(begun).Round(time.Millisecond))
	<-time.After(time.Second) // for what would come twice
	for i, text := range texts() {
		if want := fmt.Sprintf("%06d", i); text != want {
			t.Errorf("%s: message %d is %s, want %s", role, i, text, want)
			return
		}
	}
	if n := len(texts()); n != all {
		t.Errorf("%s: %d of %d came", role, n, all)
	}
}

func exactLines(t *testing.T, name string) []string {
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// exactProcess is a client in a process of its own.
type exactProcess struct {
	t   *testing.T
	env []string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newExactProcess(t *testing.T, role, addr, dir string) *exactProcess {
	p := &exactProcess{t: t, env: append(os.Environ(), "EXACT_ROLE="+role, "EXACT_ADDR="+addr, "EXACT_DIR="+dir)}
	t.Cleanup(p.kill)
	return p
}

func (p *exactProcess) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestMQTT_exact_process$", "-test.v")
	p.cmd.Env = p.env
	p.in = must[io.WriteCloser](p.t)(p.cmd.StdinPipe())
	p.out = bufio.NewReader(must[io.ReadCloser](p.t)(p.cmd.StdoutPipe()))
	ok(p.t, p.cmd.Start())
}

func (p *exactProcess) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// said is what the process has said that nobody has read; it ends.
func (p *exactProcess) said() string {
	_ = p.cmd.Process.Kill()
	b, _ := io.ReadAll(p.out)
	return string(b)
}

func (p *exactProcess) ask(line string) {
	_, err := fmt.Fprintln(p.in, line)
	ok(p.t, err)
}

// answer waits for a line that begins with "done".
func (p *exactProcess) answer() {
	p.t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.t.Fatalf("the client has ended: %v", err)
		}
		if strings.HasPrefix(line, "done") {
			return
		}
	}
}

// TestMQTT_exact_process is what such a process runs.
func TestMQTT_exact_process(t *testing.T) {
	role, addr, dir := os.Getenv("EXACT_ROLE"), os.Getenv("EXACT_ADDR"), os.Getenv("EXACT_DIR")
	switch role {
	case "":
		t.Skip("it is a part of TestMQTT_exact_killed")
	case "publisher":
		newExactClient(t, addr, role, filepath.Join(dir, role)).publish()
	case "paho":
		exactPaho(t, addr, role, dir)
	default:
		newExactClient(t, addr, role, filepath.Join(dir, role)).read("plant/#")
	}
}

// exactPaho does what paho leaves to the program: a message that comes again under its
// identifier is the same one.
func exactPaho(t *testing.T, addr, role, dir string) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4).SetClientID(role).SetCleanSession(false)
	o.SetStore(mqtt.NewFileStore(filepath.Join(dir, "store"))).SetAutoReconnect(true).SetMaxReconnectInterval(50 * time.Millisecond)
	log := must[*os.File](t)(os.OpenFile(filepath.Join(dir, role+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	to := stdlog.New(log, "", stdlog.Ltime|stdlog.Lmicroseconds)
	mqtt.ERROR, mqtt.CRITICAL, mqtt.WARN, mqtt.DEBUG = to, to, to, to
	o.SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetConnectTimeout(step)
	name, of := filepath.Join(dir, role), make(map[string]string)
	for _, line := range exactLines(t, name) {
		if f := strings.Fields(line); len(f) == 3 {
			of[f[1]] = f[2]
		}
	}
	f := must[*os.File](t)(os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { // its PUBREC goes when this has returned
		id, text := strconv.Itoa(int(m.MessageID())), string(m.Payload())
		if m.Duplicate() && of[id] == text {
			return
		}
		of[id] = text
		fmt.Fprintf(f, "M %s %s\n", id, text)
	})
	c := mqtt.NewClient(o)
	for c.Connect(); !c.IsConnectionOpen(); {
		<-time.After(10 * time.Millisecond)
	}
	if len(of) == 0 {
		token(t, c.Subscribe("plant/#", 2, nil))
	}
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
