package interop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// startBy runs frond by a shell script, whose "$@" is the program and its
// arguments.
func startBy(t *testing.T, script string, c peers.Config) *peers.Server {
	t.Helper()
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	path := filepath.Join(t.TempDir(), "frond")
	ok(t, os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nset -e\nset -- '%s' \"$@\"\n%s\n", binary(t, peers.FrondKind), script), 0o700))
	return startBinary(t, peers.FrondKind, path, c)
}

// TestFewDescriptors has 256 descriptors for 400 streams and as many connections as
// are let in, when the streams are made and when the server starts on them.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	const streams, least = 400, 128
	s := startBy(t, `ulimit -n 256; exec "$@"`, peers.Config{JetStream: true, MQTT: true})
	ctx := within(t, 2*time.Minute)
	works := func() {
		js := stream(t, connect(t, s))
		ok(t, rawPublish(s.MQTTAddr(), []string{"a"}, 1))
		let := 0
		for ; let < 256; let++ {
			c := must[net.Conn](t)(net.Dial("tcp", s.ClientAddr()))
			defer c.Close()
			ok(t, c.SetReadDeadline(time.Now().Add(step)))
			if _, err := c.Read(make([]byte, 4)); err != nil {
				break // its turn was the first that got no INFO
			}
		}
		if let < least {
			t.Errorf("%d connections are let in", let)
		}
		t.Logf("%d connections", let)
		for i := range streams {
			name := fmt.Sprintf("MANY_%d", i)
			m := must[jetstream.Stream](t)(js.Stream(ctx, name))
			last := m.CachedInfo().State.LastSeq
			if got := must[*jetstream.RawStreamMsg](t)(m.GetMsg(ctx, 3)); string(got.Data) != string(manyBody(i)) {
				t.Fatalf("message 3 of %s is %q", name, got.Data)
			}
			if ack := must[*jetstream.PubAck](t)(js.Publish(ctx, name+".a", manyBody(i))); ack.Sequence != last+1 {
				t.Fatalf("%s: acknowledged as %d behind %d", name, ack.Sequence, last)
			}
		}
	}
	makeStreams(t, ctx, s.URL(), 0, streams)
	works()
	ok(t, s.Stop())
	folders := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(s.Dir, "data", "jetstream", "streams")))
	t.Logf("%d of %d streams have files", len(folders), streams)
	restart(t, s)
	works()
}

// TestDamage_folder removes the data folder of a running server: that is told,
// nothing in files is acknowledged any more, and what needs no disk goes on.
func TestDamage_folder(t *testing.T) {
	t.Parallel()
	s := startBy(t, `exec "$@"`, peers.Config{JetStream: true, HTTP: true})
	ctx := within(t, time.Minute)
	nc := connect(t, s)
	js := stream(t, nc)
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "M", Subjects: []string{"m"}, Storage: jetstream.MemoryStorage}))
	for range 20 {
		must[*jetstream.PubAck](t)(js.Publish(ctx, "s", []byte("x")))
	}
	data := filepath.Join(s.Dir, "data")
	eventually(t, step, func() error { return os.RemoveAll(data) }) // it may be making a file
	publish := func() error {
		ctx := within(t, 5*time.Second)
		_, err := js.Publish(ctx, "s", []byte("x"), jetstream.WithRetryAttempts(0))
		return err
	}
	acked := 0
	eventually(t, step, func() error {
		if publish() == nil {
			acked++
			return errors.New("it is still acknowledged")
		}
		return nil
	})
	t.Logf("%d acknowledged in the moment until it was noticed", acked)
	eventually(t, step, func() error {
		if !strings.Contains(s.Log(), "the journal's folder was removed while the server runs") {
			return errors.New("the log does not say it")
		}
		return nil
	})
	for range 3 {
		if publish() == nil {
			t.Error("acknowledged though the folder is gone")
		}
	}
	r := must[*http.Response](t)(http.Get("http://" + s.HTTPAddr() + "/healthz"))
	body := must[[]byte](t)(io.ReadAll(r.Body))
	r.Body.Close()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/healthz: %d %s", r.StatusCode, body)
	}
	must[*jetstream.PubAck](t)(js.Publish(ctx, "m", []byte("x")))
	ok(t, nc.FlushTimeout(step))
	t.Logf("the stop: %v", s.Stop())
	restart(t, s)
	js = stream(t, connect(t, s))
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))
	must[*jetstream.PubAck](t)(js.Publish(ctx, "s", []byte("x")))
}

// TestCrash_lock starts a server while the one before is still being killed, and
// while somebody holds the lock of its folder a moment longer.
func TestCrash_lock(t *testing.T) {
	t.Parallel()
	s := startBy(t, `exec "$@"`, peers.Config{JetStream: true})
	js := stream(t, connect(t, s))
	ctx := within(t, time.Minute)
	must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))
	must[*jetstream.PubAck](t)(js.Publish(ctx, "s", []byte("x")))

	conf := filepath.Join(s.Dir, "server.conf")
	spawn := func() *peers.Process {
		p := must[*peers.Process](t)(peers.Spawn("the next", binary(t, peers.FrondKind), "-c", conf))
		t.Cleanup(p.Kill)
		return p
	}
	ready := regexp.MustCompile("Server is ready")
	ok(t, syscall.Kill(s.Pid(), syscall.SIGKILL))
	p := spawn()
	must[[]string](t)(p.Await(ctx, ready))
	p.Kill()
	s.Kill() // reaped

	lock := filepath.Join(s.Dir, "data", "jetstream", "journal", "lock")
	f := must[*os.File](t)(os.OpenFile(lock, os.O_RDWR, 0))
	defer f.Close()
	ok(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	p = spawn()
	must[[]string](t)(p.Await(ctx, regexp.MustCompile("Starting JetStream")))
	select { // a second longer
	case <-p.Done():
		t.Fatalf("the start failed:\n%s", p.Output())
	case <-time.After(time.Second):
	}
	if p.Find(ready) != nil {
		t.Fatal("it started without the lock")
	}
	ok(t, f.Close())
	must[[]string](t)(p.Await(ctx, ready))
	if err := p.Stop(step); err != nil {
		t.Error(err)
	}
}

// TestFullDisk_drained fills the disk under a server: publishing is refused with a
// word, and whoever wants to take what is there can, with a consumer in memory and
// with one in files. With room again publishing goes on.
func TestFullDisk_drained(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "unshare", "-Urm", "mount", "-t", "tmpfs", "none", t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v: %s", err, out)
	}
	dir := t.TempDir()
	s := startBy(t, fmt.Sprintf(`exec unshare -Urm sh -c 'mount -t tmpfs -o size=48m none "%s" && exec "$@"' sh "$@"`, dir),
		peers.Config{HTTP: true, Extra: fmt.Sprintf("jetstream { store_dir: %q }\n", dir)})
	ctx := within(t, time.Minute)
	nc := connect(t, s)
	js := stream(t, nc)
	for _, name := range []string{"MEM", "FILE"} {
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Retention: jetstream.WorkQueuePolicy}))
	}
	const messages = 300
	for i := range messages {
		for _, name := range []string{"MEM", "FILE"} {
			must[*jetstream.PubAck](t)(js.Publish(ctx, name, fmt.Appendf(nil, "%d-%s", i, strings.Repeat("x", 2000))))
		}
	}
	fill := filepath.Join("/proc", fmt.Sprint(s.Pid()), "root", dir, "fill")
	f := must[*os.File](t)(os.Create(fill))
	defer f.Close()
	junk := make([]byte, 64<<10)
	publish := func() error {
		_, err := js.Publish(ctx, "MEM", junk, jetstream.WithRetryAttempts(0))
		return err
	}
	more := 0
	eventually(t, step, func() error {
		for {
			if _, err := f.Write(junk); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if err := publish(); err == nil {
			more++
			return errors.New("it is still acknowledged")
		} else if !strings.Contains(err.Error(), "no room left") {
			t.Fatalf("refused with %v", err)
		}
		return nil
	})
	for name, memory := range map[string]bool{"MEM": true, "FILE": false} {
		want := messages
		if name == "MEM" {
			want += more
		}
		c := must[jetstream.Consumer](t)(js.CreateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: "c", MemoryStorage: memory, AckPolicy: jetstream.AckExplicitPolicy}))
		for got := 0; got < want; {
			for _, m := range fetch(t, c, min(100, want-got)) {
				ok(t, m.DoubleAck(ctx))
				got++
			}
		}
		if left := must[*jetstream.StreamInfo](t)(must[jetstream.Stream](t)(js.Stream(ctx, name)).Info(ctx)).State.Msgs; left != 0 {
			t.Errorf("%d messages are left in %s", left, name)
		}
	}
	ok(t, os.Remove(fill))
	ok(t, f.Close())
	eventually(t, 2*step, publish)
	ok(t, s.Stop())
}
