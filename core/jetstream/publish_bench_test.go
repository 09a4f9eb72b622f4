package jetstream

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/wire"
)

// benchBus routes to one stream and swallows everything else, so that what is
// measured is the engine.
type benchBus struct {
	testBus
	acks atomic.Int64
	done chan struct{}
	want int64
	// window holds one for each message on its way.
	window chan struct{}
}

func (b *benchBus) Publisher() Publisher { return b }
func (b *benchBus) Flush()               {}
func (b *benchBus) Publish(m *wire.Msg) int {
	<-b.window
	if b.acks.Add(1) == b.want {
		close(b.done)
	}
	return 1
}

func benchmarkPublish(b *testing.B, e *Engine, config string, header string) {
	bus := &benchBus{window: make(chan struct{}, 4096), done: make(chan struct{}), want: int64(b.N)}
	bus.name = "A"
	if err := e.EnableAccount(bus); err != nil {
		b.Fatal(err)
	}
	cfg, err := asset.Decode([]byte(jsonOf(b, config)))
	if err != nil {
		b.Fatal(err)
	}
	s, apiErr := e.createStream(e.account("A"), cfg, false)
	if apiErr != nil {
		b.Fatal(apiErr)
	}
	m := &wire.Msg{Subject: []byte("s.sensor.1"), Reply: []byte("_INBOX.abcdefgh.1"), Body: make([]byte, 128)}
	if header != "" {
		m.Header = []byte(header)
	}
	each := 1 // messages that have the same id
	if header == "again" {
		each = 2
	}
	var ids []byte
	b.SetBytes(128)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		bus.window <- struct{}{}
		if header == "id" || header == "again" {
			ids = strconv.AppendInt(append(ids[:0], "NATS/1.0\r\nNats-Msg-Id: "...), int64(i/each), 10)
			ids = append(ids, "\r\n\r\n"...)
			m.Header = ids
		}
		s.ingest(m)
	}
	<-bus.done
	b.StopTimer()
	if st, want := s.state(), uint64((b.N+each-1)/each); st.LastSeq != want {
		b.Fatalf("stored %d of %d", st.LastSeq, want)
	}
}

func BenchmarkPublish_memory(b *testing.B) {
	for _, x := range []struct{ name, config, header string }{
		{"plain", "name=S subjects=[s.>] storage=memory max_msgs=100000", ""},
		{"header", "name=S subjects=[s.>] storage=memory max_msgs=100000", header("A", "b", "Content-Type", "json")},
		{"kv", "name=S subjects=[s.>] storage=memory max_msgs_per_subject=1 discard=new", ""},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := testConfig(b)
			e, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			benchmarkPublish(b, e, x.config, x.header)
		})
	}
}

// The whole way to a real disk and back.
func BenchmarkPublish_file(b *testing.B) {
	for _, x := range []struct{ name, config, header string }{
		{"plain", "name=S subjects=[s.>]", ""},
		{"dedup", "name=S subjects=[s.>] duplicate_window=1s", "id"},
		{"duplicates", "name=S subjects=[s.>] duplicate_window=1m", "again"},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := testConfig(b)
			c.Dir = b.TempDir()
			e, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			benchmarkPublish(b, e, x.config, x.header)
		})
	}
}
