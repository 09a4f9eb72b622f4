package core

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/outbound"
)

// Whatever else is in use, what may wait, and half more of it, fits with it into
// 3/4 of the limit, or it is the least there is and memory is short.
func TestMemory_waitingLimit(t *testing.T) {
	const limit = 64 << 20
	for other := int64(0); other <= 2*limit; other += limit / 64 {
		n, short := waitingLimit(limit, other)
		least := int64(limit / 16)
		if n < least || n > least && other+n+n/2 > limit/4*3 {
			t.Errorf("beside %d bytes %d may wait", other, n)
		}
		if want := limit/4*3-other < least; short != want {
			t.Errorf("beside %d bytes: short is %v", other, short)
		}
	}
}

// What the program has told the collector is no limit of its own.
func TestMemoryLimit_ofTheCollector(t *testing.T) {
	const limit = 32 << 20
	was := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(was)
	for collector, want := range map[int64]int64{GoMemoryLimit(limit): limit, limit / 2: limit / 2} {
		debug.SetMemoryLimit(collector)
		if n, from := MemoryLimit(&config.Options{MaxMemory: limit}); n != want {
			t.Errorf("%d from %s, want %d", n, from, want)
		}
	}
}

func TestMemory_bounds(t *testing.T) {
	o := config.Defaults()
	o.MaxMemory = 64 << 20
	var b, l, p outbound.Budget
	m := newMemory(o, &b, &l, &p, slog.New(slog.DiscardHandler))
	if m.limit != o.MaxMemory || m.from != "max_memory" || b.Limit()+l.Limit() != 32<<20 || l.Limit() != 32<<20/3 {
		t.Errorf("%d from %s, %d may wait", m.limit, m.from, b.Limit())
	}
	m.bound(60 << 20)
	if !m.Short() || b.Limit()+l.Limit() != 4<<20 {
		t.Errorf("short %v, %d may wait", m.Short(), b.Limit())
	}
	m.bound(0)
	m.setMost(1 << 20)
	if m.Short() || b.Limit() != 1<<20 {
		t.Errorf("short %v, %d may wait, max_pending_total is less", m.Short(), b.Limit())
	}
	m.setMost(0) // as a reload does: the limit of the process stays
	if b.Limit()+l.Limit() != 32<<20 {
		t.Errorf("%d may wait without max_pending_total", b.Limit()+l.Limit())
	}
	m.setMost(1 << 20)
	b.Take(1000)
	l.Take(500)
	if d := m.describe(); d.Waiting != 1500 {
		t.Errorf("%d bytes wait of 1000 and 500", d.Waiting)
	}
	if d := m.describe(); d.Limit != 64<<20 || d.WaitingLimit != 1<<20+32<<20/3 || d.Short {
		t.Errorf("described as %+v", d)
	}
	// What has come in part leaves less for what waits.
	m.setMost(0)
	m.bound(20 << 20)
	before := b.Limit() + l.Limit()
	p.Take(6 << 20)
	m.bound(20 << 20)
	if n := before - b.Limit() - l.Limit(); n < 3<<20 || m.describe().Partial != 6<<20 {
		t.Errorf("6 MB in part leave %d less", n)
	}
	for payload, want := range map[int]int64{1 << 20: 8 << 20, 6 << 20: 12 << 20, 64 << 20: 16 << 20} {
		if m.setParts(payload); p.Limit() != want {
			t.Errorf("%d bytes in part with a max_payload of %d, want %d", p.Limit(), payload, want)
		}
	}
	o.MaxMemory = 0
	if m := newMemory(o, &b, &l, &p, slog.New(slog.DiscardHandler)); m.from == "max_memory" {
		t.Errorf("%d from %s", m.limit, m.from)
	}
	if m.share(8, 1<<40) != 0 || m.share(8, 8) != 8 {
		t.Error("shares")
	}
}

// The gauge sees what is kept, once it was collected around.
func TestMemory_gauge(t *testing.T) {
	g := newGauge()
	collect()
	before, ok := g.read()
	if !ok || before <= 0 {
		t.Fatalf("%d bytes, %v", before, ok)
	}
	if _, again := g.read(); again {
		t.Skip("somebody else collects")
	}
	kept := make([]byte, 32<<20)
	collect()
	after, ok := g.read()
	if grown := after - before; !ok || grown < 16<<20 || grown > 64<<20 {
		t.Errorf("grown by %d bytes, %v", grown, ok)
	}
	kept[0] = 1
}

// A server that has a limit measures, says so, and stops.
func TestMemory_short(t *testing.T) {
	o := config.Defaults()
	o.MaxMemory = 1 << 20 // the test's own process takes more
	var b, l, p outbound.Budget
	lines := make(chan string, 16)
	m := newMemory(o, &b, &l, &p, slog.New(lineHandler{lines}))
	emptied := make(chan struct{}, 1)
	m.streams.Store(&streamMemory{
		func() jetstream.Held { return jetstream.Held{Staged: 1, Journal: 2, Caches: 3} },
		func() {
			select {
			case emptied <- struct{}{}:
			default:
			}
		},
	})
	m.begin()
	defer m.end()
	if l := <-lines; l != "Memory limit" {
		t.Errorf("the first line is %q", l)
	}
	collect()
	select {
	case <-lines: // that it is short
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is said of memory that is short")
	}
	if !m.Short() {
		t.Error("it is not short")
	}
	<-emptied
	if v := m.describe(); v.Staged != 1 || v.Journal != 2 || v.Caches != 3 {
		t.Errorf("told of streams: %+v", v)
	}
}

func collect() { runtime.GC() }

// lineHandler passes on what lines say.
type lineHandler struct{ lines chan string }

func (h lineHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h lineHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h lineHandler) WithGroup(string) slog.Handler            { return h }
func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	h.lines <- r.Message
	return nil
}
