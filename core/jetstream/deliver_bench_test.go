package jetstream

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/api"
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// deliveryBus swallows deliveries and says when all have come.
type deliveryBus struct {
	testBus
	left int
	done chan struct{}
}

func (b *deliveryBus) Publisher() Publisher { return b }
func (b *deliveryBus) Flush()               {}
func (b *deliveryBus) Publish(m *wire.Msg) int {
	if string(m.Subject) == "dlv" && m.Reply != nil {
		if b.left--; b.left == 0 {
			close(b.done)
		}
	}
	return 1
}

// deliver pushes n messages of a stream. begin is called when they are there,
// and before anybody wants them.
func deliver(t testing.TB, c Config, policy consumer.AckPolicy, n int, begin func()) {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	bus := &deliveryBus{left: n, done: make(chan struct{})}
	bus.name = "A"
	if err := e.EnableAccount(bus); err != nil {
		t.Fatal(err)
	}
	s, apiErr := e.createStream(e.account("A"), &asset.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: asset.MemoryStorage, MaxMsgs: -1, MaxBytes: -1}, false)
	if apiErr != nil {
		t.Fatal(apiErr)
	}
	m := &wire.Msg{Subject: []byte("s.sensor.1"), Body: make([]byte, 128)}
	for range n {
		s.ingest(m)
	}
	for s.state().LastSeq < uint64(n) {
		runtime.Gosched()
	}
	if _, apiErr := e.upsertConsumer(s, &api.ConsumerCreate{Config: &consumer.Config{Name: "c", DeliverSubject: "dlv", AckPolicy: policy}}); apiErr != nil {
		t.Fatal(apiErr)
	}
	begin()
	stop, err := bus.Subscribe("dlv", "", func(*wire.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	<-bus.done
}

// What a consumer does for a message that it pushes, without who gets it.
func BenchmarkDeliver(b *testing.B) {
	b.ReportAllocs()
	deliver(b, testConfig(b), consumer.AckNone, b.N, b.ResetTimer)
}

// Who acknowledges nothing costs few looks at the clock; what waits for an
// acknowledgement has a time of its own.
func TestDeliver_looksAtTheClock(t *testing.T) {
	const n = 900 // less than may wait for an acknowledgement
	for policy, is := range map[consumer.AckPolicy]func(looks int64) bool{
		consumer.AckNone:     func(looks int64) bool { return looks < n/2 },
		consumer.AckExplicit: func(looks int64) bool { return looks >= n },
	} {
		var looks atomic.Int64
		c := testConfig(t)
		c.Now = func() time.Time { looks.Add(1); return time.Now() }
		deliver(t, c, policy, n, func() { looks.Store(0) })
		if got := looks.Load(); !is(got) {
			t.Errorf("acknowledgements %v: %d looks at the clock for %d messages", policy, got, n)
		}
	}
}
