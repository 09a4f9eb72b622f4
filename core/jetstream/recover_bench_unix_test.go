//go:build unix

package jetstream

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkRecover is a start on a journal with 200,000 messages of one stream,
// none of which is in its store.
func BenchmarkRecover(b *testing.B) {
	const messages = 200_000
	c := testConfig(b)
	c.Dir, c.DrainBytes = b.TempDir(), 1<<40
	e, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	bus := &benchBus{window: make(chan struct{}, 1024), done: make(chan struct{}), want: messages}
	bus.name = "A"
	if err := e.EnableAccount(bus); err != nil {
		b.Fatal(err)
	}
	cfg, err := asset.Decode([]byte(jsonOf(b, "name=S subjects=[s.>]")))
	if err != nil {
		b.Fatal(err)
	}
	s, apiErr := e.createStream(e.account("A"), cfg, false)
	if apiErr != nil {
		b.Fatal(apiErr)
	}
	m := &wire.Msg{Subject: []byte("s.sensor.1"), Reply: []byte("_INBOX.abcdefgh.1"), Body: make([]byte, 128)}
	for range messages {
		bus.window <- struct{}{}
		s.ingest(m)
	}
	<-bus.done
	// As if it was killed here: the copies are what it has on the disk.
	filled := c.Dir
	defer e.Close()
	var used, took time.Duration
	b.ResetTimer()
	b.StopTimer()
	for range b.N {
		c.Dir = filepath.Join(b.TempDir(), "copy")
		if err := os.CopyFS(c.Dir, os.DirFS(filled)); err != nil {
			b.Fatal(err)
		}
		before, began := processorTime(b), time.Now()
		b.StartTimer()
		again, err := New(c)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		used, took = used+processorTime(b)-before, took+time.Since(began)
		if st := again.streamNamed(b, "S").state(); st.Msgs != messages {
			b.Fatalf("%d of %d messages", st.Msgs, messages)
		}
		again.Close()
		os.RemoveAll(c.Dir)
	}
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "wall-ms/op")
}

func (e *Engine) streamNamed(b *testing.B, name string) *stream {
	for _, s := range e.allStreams() {
		if s.name == name {
			return s
		}
	}
	b.Fatalf("no stream %q", name)
	return nil
}
