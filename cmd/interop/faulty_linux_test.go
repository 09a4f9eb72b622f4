package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// faulty is a server whose calls to the system can be made to fail, by strace(1).
type faulty struct {
	*peers.Server
	t     *testing.T
	store string // its folder of JetStream
	acks  *ackLog
	n     int
}

// startFaulty skips the test where no process can be traced. The disk is so small
// that a drain begins at a megabyte.
func startFaulty(t *testing.T) *faulty {
	t.Helper()
	if !tested(peers.FrondKind) {
		t.Skip("frond is not among -servers")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("it takes strace: ", err)
	}
	if out, err := exec.CommandContext(t.Context(), "strace", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("nothing can be traced here: %v: %s", err, out)
	}
	dir := t.TempDir()
	f := &faulty{t: t, store: filepath.Join(dir, "data", "jetstream"), acks: newAckLog(t)}
	// -D makes the server the child, and strace a stranger that ends with it.
	script := fmt.Sprintf("#!/bin/sh\n[ -f '%[1]s/faults' ] || exec '%[2]s' \"$@\"\nexec strace -D -f -qq --seccomp-bpf -o '%[1]s/trace' $(cat '%[1]s/faults') '%[2]s' \"$@\"\n",
		dir, binary(t, peers.FrondKind))
	path := filepath.Join(dir, "traced")
	ok(t, os.WriteFile(path, []byte(script), 0o700))
	s, err := peers.Start(t.Context(), peers.FrondKind, path, dir, peers.Config{HTTP: true,
		Extra: fmt.Sprintf("jetstream { store_dir: %q, max_disk: 32MB }\n", filepath.Join(dir, "data"))})
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log:\n%s", tail(s.Log(), 15))
		}
		s.Kill()
	})
	f.Server = s
	return f
}

// fail makes each next start run with faults of a call to some files; when is as
// strace has it, and counts for each thread.
func (f *faulty) fail(call, when string, files ...string) {
	f.t.Helper()
	ok(f.t, os.WriteFile(filepath.Join(f.Dir, "faults"), []byte(strings.Join(faults(call, when, files), " ")), 0o600))
}

// heal makes each next start run without.
func (f *faulty) heal() { ok(f.t, os.Remove(filepath.Join(f.Dir, "faults"))) }

func faults(call, when string, files []string) []string {
	args := []string{"-e", "trace=" + call, "-e", "inject=" + call + ":error=EIO:when=" + when}
	for _, file := range files {
		args = append(args, "-P", file)
	}
	return args
}

// failNow is fail for the server that runs.
func (f *faulty) failNow(call, when string, files ...string) {
	f.t.Helper()
	args := append([]string{"-f", "-o", filepath.Join(f.Dir, "trace"), "-p", fmt.Sprint(f.Pid())}, faults(call, when, files)...)
	p := must[*peers.Process](f.t)(peers.Spawn("strace", "strace", args...))
	f.t.Cleanup(func() {
		f.Kill() // first: the other way round it may be left stopped
		p.Kill()
	})
	if _, err := p.Await(within(f.t, step), regexp.MustCompile("attached")); err != nil {
		f.t.Skip("a running server can not be traced here: ", err)
	}
}

// failed waits until a fault was made.
func (f *faulty) failed() {
	f.t.Helper()
	eventually(f.t, step, func() error {
		if b, err := os.ReadFile(filepath.Join(f.Dir, "trace")); err != nil || !bytes.Contains(b, []byte("(INJECTED)")) {
			return fmt.Errorf("no fault was made: %w", err)
		}
		return nil
	})
}

// told waits until the log says what.
func (f *faulty) told(what string) {
	f.t.Helper()
	eventually(f.t, step, func() error {
		if !strings.Contains(f.Log(), what) {
			return fmt.Errorf("the log does not say %q", what)
		}
		return nil
	})
}

// write publishes n messages of 16 KB, and returns when all are acknowledged.
func (f *faulty) write(n int) {
	f.t.Helper()
	first := f.n
	f.n += n
	ctx := within(f.t, 2*step)
	js := stream(f.t, connect(f.t, f.Server))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := first + w; i < first+n; i += 4 {
				id := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 16_000))
				ack, err := js.Publish(ctx, "s", []byte(id), jetstream.WithRetryAttempts(0))
				if err != nil {
					f.t.Errorf("publish: %v", err)
					return
				}
				f.acks.add(f.t, id, ack.Sequence)
			}
		})
	}
	wg.Wait()
}

// files are what is in a folder of the store.
func (f *faulty) files(pattern string) []string {
	f.t.Helper()
	names := must[[]string](f.t)(filepath.Glob(filepath.Join(f.store, pattern)))
	if len(names) == 0 {
		f.t.Fatalf("no file is %s", pattern)
	}
	return names
}

// allThere compares with the acknowledgements: each message is there, once, under
// its sequence, and nothing is lost.
func (f *faulty) allThere() {
	f.t.Helper()
	nc := connect(f.t, f.Server)
	ctx := within(f.t, 2*step)
	held := readAll(f.t, must[jetstream.Stream](f.t)(stream(f.t, nc).Stream(ctx, "S")))
	for id, seq := range f.acks.read(f.t) {
		if got := held[id]; len(got) != 1 || got[0] != seq {
			f.t.Errorf("%.10s was acknowledged as %d, and is at %v", id, seq, got)
		}
	}
	var a struct {
		State struct {
			Lost json.RawMessage `json:"lost"`
		} `json:"state"`
	}
	m := must[*nats.Msg](f.t)(nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO.S", nil))
	ok(f.t, json.Unmarshal(m.Data, &a))
	if len(a.State.Lost) > 0 {
		f.t.Errorf("the stream tells lost %s", a.State.Lost)
	}
}

func (f *faulty) create() {
	f.t.Helper()
	js := stream(f.t, connect(f.t, f.Server))
	must[jetstream.Stream](f.t)(js.CreateStream(within(f.t, step), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))
}

// TestDamage_sync has syncs of a stream's file fail, and kills the server at
// once, or when it has told and gone on. bbolt has made visible by then what was not
// synced, so what is tried again must not take that for what is on the disk.
func TestDamage_sync(t *testing.T) {
	for _, x := range []struct {
		name, when string
		on         int // how many messages are acknowledged behind the fault
	}{
		{"once", "1", 90},
		{"once, killed at once", "1", 0},
		{"for good", "1+", 90},
		{"for good, killed at once", "1+", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := startFaulty(t)
			f.create()
			f.write(20)
			ok(t, f.Stop())
			f.fail("fdatasync", x.when, f.files("streams/*/*.chunks")...)
			restart(t, f.Server)
			f.write(100)
			f.failed()
			if x.on > 0 {
				f.told("the disk failed to write: flush ")
				f.write(x.on)
			}
			f.Kill()
			f.heal()
			restart(t, f.Server)
			f.write(20)
			f.allThere()
			ok(t, f.Stop())
			restart(t, f.Server)
			f.allThere()
		})
	}
}

// TestDamage_read has reads of the journal fail for a time, while it is drained
// and while the server starts: that is told and no damage, and all is there.
func TestDamage_read(t *testing.T) {
	segments := func(f *faulty) (names []string) {
		for i := range 30 {
			names = append(names, filepath.Join(f.store, "journal", fmt.Sprintf("%016x.seg", i)))
		}
		return names
	}
	t.Run("draining", func(t *testing.T) {
		t.Parallel()
		f := startFaulty(t)
		f.create()
		f.write(20)
		f.Kill() // what a start found in the journal is not in memory
		restart(t, f.Server)
		f.failNow("pread64", "1", segments(f)...)
		f.write(100)
		f.failed()
		f.told("the disk failed to read the journal")
		f.write(20)
		f.allThere()
		f.Kill()
		restart(t, f.Server)
		f.allThere()
	})
	t.Run("starting", func(t *testing.T) {
		t.Parallel()
		f := startFaulty(t)
		f.create()
		f.write(20)
		f.Kill()
		f.fail("pread64", "1+3", segments(f)...)
		// A start whose tries all fail ends, and gives up nothing.
		var err error
		for range 5 {
			if err = f.Restart(t.Context()); err == nil {
				break
			}
			t.Log(err)
		}
		ok(t, err)
		f.failed()
		f.told("the disk failed to read the journal")
		f.write(20)
		f.allThere()
		f.Kill()
		f.heal()
		restart(t, f.Server)
		f.allThere()
	})
}
