package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// What 10,000 streams of 10 messages may take, with 256 descriptors.
const (
	manyStreams      = 10_000
	manyMessages     = 10
	manyDescriptors  = 256
	manyMostStart    = time.Second // of processor time
	manyMostRssAnon  = 50 << 20
	manyCreateGrowth = 2 // the last creates cost so many times what the first did, at most
)

// TestManyStreams makes very many streams, kills the server and starts it on
// them: first while all is in the journal only, then when each has its file.
// Its figures are amounts of memory and processor time, which another load on
// the machine hardly changes:
//
//	FROND_SOAK=1 go test -run ManyStreams -v .
func TestManyStreams(t *testing.T) {
	if os.Getenv("FROND_SOAK") == "" {
		t.Skip("a long test: FROND_SOAK=1 runs it")
	}
	dir := t.TempDir()
	few := filepath.Join(dir, "few")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", manyDescriptors, binary(t, peers.FrondKind))
	if err := os.WriteFile(few, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 30*time.Minute)
	s, err := peers.Start(ctx, peers.FrondKind, few, dir, peers.Config{JetStream: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Kill() })

	const parts = 5
	var cost [parts]time.Duration
	for part := range parts {
		before := processorTime(t, s.Pid())
		makeStreams(t, ctx, s.URL(), part*manyStreams/parts, (part+1)*manyStreams/parts)
		cost[part] = processorTime(t, s.Pid()) - before
	}
	t.Logf("creating, %d a part, took %v; RssAnon after it: %.1f MB", manyStreams/parts, cost, mb(rssAnon(t, s.Pid())))
	if first, last := cost[0], cost[parts-1]; last > manyCreateGrowth*first {
		t.Errorf("the last creates took %v of processor time, and the first %v", last, first)
	}

	s.Kill()
	startOnMany(t, ctx, s, "from the journal")
	// A stop makes the files of so many streams as it has time.
	for stops := 1; ; stops++ {
		if err := s.Stop(); err != nil {
			t.Fatalf("the stop was not clean: %v\n%s", err, s.Log())
		}
		folders, err := os.ReadDir(filepath.Join(dir, "data", "jetstream", "streams"))
		if err != nil {
			t.Fatal(err)
		}
		if t.Logf("after %d stops %d streams have files", stops, len(folders)); len(folders) == manyStreams {
			break
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	startOnMany(t, ctx, s, "from the files")
}

// startOnMany starts the server and looks at what that took.
func startOnMany(t *testing.T, ctx context.Context, s *peers.Server, how string) {
	t.Helper()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	took := processorTime(t, s.Pid())
	anon := settledRssAnon(t, ctx, s.Pid())
	js := stream(t, connectURL(t, s.URL()))
	info, err := js.AccountInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Streams != manyStreams {
		t.Fatalf("%s: %d of %d streams are there", how, info.Streams, manyStreams)
	}
	t.Logf("%s: start %v of processor time, RssAnon %.1f MB", how, took, mb(anon))
	if took > manyMostStart {
		t.Errorf("%s: the start took %v of processor time, at most %v", how, took, manyMostStart)
	}
	if anon > manyMostRssAnon {
		t.Errorf("%s: %.1f MB of anonymous memory, at most %.1f", how, mb(anon), mb(manyMostRssAnon))
	}
	// Each of them works: it gives and takes a message.
	for i := 0; i < manyStreams; i += manyStreams / 500 {
		name := fmt.Sprintf("MANY_%d", i)
		m, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		st := m.CachedInfo().State
		if got, err := m.GetMsg(ctx, st.FirstSeq+3); err != nil || !bytes.Equal(got.Data, manyBody(i)) {
			t.Fatalf("%s: message %d of %s: %v", how, st.FirstSeq+3, name, err)
		}
		if ack, err := js.Publish(ctx, name+".a", manyBody(i)); err != nil || ack.Sequence != st.LastSeq+1 {
			t.Fatalf("%s: a message for %s: %+v, %v", how, name, ack, err)
		}
	}
}

func manyBody(i int) []byte { return fmt.Appendf(make([]byte, 0, 128), "%-128d", i) }

// makeStreams makes the streams from..to-1, with their messages.
func makeStreams(t *testing.T, ctx context.Context, url string, from, to int) {
	t.Helper()
	const clients = 16
	var wg sync.WaitGroup
	for c := range clients {
		js, err := jetstream.New(connectURL(t, url), jetstream.WithPublishAsyncMaxPending(64))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := from + c; i < to; i += clients {
				name := fmt.Sprintf("MANY_%d", i)
				if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}}); err != nil {
					t.Errorf("create %s: %v", name, err)
					return
				}
				for range manyMessages {
					if _, err := js.PublishAsync(name+".a", manyBody(i), jetstream.WithStallWait(time.Minute)); err != nil {
						t.Errorf("publish to %s: %v", name, err)
						return
					}
				}
			}
			select {
			case <-js.PublishAsyncComplete():
			case <-ctx.Done():
				t.Error(ctx.Err())
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func connectURL(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// processorTime is what a process took so far, ended threads included
// (proc_pid_stat(5): fields 14 and 15, in hundredths of a second).
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	user, err := strconv.Atoi(f[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(f[12])
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func rssAnon(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// settledRssAnon waits until what a start leaves behind is given back.
func settledRssAnon(t *testing.T, ctx context.Context, pid int) int64 {
	t.Helper()
	least, same := rssAnon(t, pid), 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ; same < 6; same++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
		if now := rssAnon(t, pid); now < least {
			least, same = now, 0
		}
	}
	return rssAnon(t, pid)
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }
