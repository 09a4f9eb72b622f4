package core

import (
	"log/slog"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/outbound"
)

// MemoryLimit is how much memory a server with these options may take, and what
// says so: max_memory, what the system ends the process above (its cgroup), or
// GOMEMLIMIT; the least of them holds. 0 is none.
func MemoryLimit(o *config.Options) (bytes int64, from string) {
	take := func(n int64, what string) {
		if n > 0 && (bytes == 0 || n < bytes) {
			bytes, from = n, what
		}
	}
	take(o.MaxMemory, "max_memory")
	take(cgroupMemory("/"), "cgroup")
	// The program sets this one itself, from the others: see GoMemoryLimit.
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 && n != GoMemoryLimit(bytes) {
		take(n, "GOMEMLIMIT")
	}
	return bytes, from
}

// GoMemoryLimit is from where on the garbage collector of a process should work
// harder that may take so much memory: other memory than Go's is there too.
func GoMemoryLimit(limit int64) int64 { return limit / 8 * 7 }

// memory keeps what waits for clients within what the process has left. What
// waits is counted as it comes and goes; all else (subscriptions, streams, caches)
// is measured once a second, and leaves less for it. What streams hold of it beside
// their indexes is counted too, and bounded each (store.go); caches are emptied when
// publishers have to wait. The laws:
//
//	3/4 of the limit are for what is in use; the rest is garbage that waits for
//	the collector, and what fragments cost.
//	Between the bound of what waits and half more of it, those are closed that
//	have much waiting (outbound.Budget.Full), and links lose messages: both
//	together fit into the 3/4.
//	Messages that have come in part hold an eighth of the limit, and half more for
//	a moment (inbound.Parts); that leaves less for what waits, too.
//	While not even least is left, publishers are held up, then refused.
type memory struct {
	limit int64
	from  string
	// Of what waits for clients and for links.
	clients, links *outbound.Budget
	parts          *outbound.Budget // of messages that are not whole
	log            *slog.Logger
	streams        atomic.Pointer[streamMemory] // nil without JetStream
	short          atomic.Bool
	other          atomic.Int64 // in use by all else, as last measured

	mu struct {
		sync.Mutex
		most int64 // max_pending_total; 0 for none
	}
	stop chan struct{}
	done sync.WaitGroup
}

// streamMemory is what JetStream holds, and how some of it is given back.
type streamMemory struct {
	held  func() jetstream.Held
	empty func() // its caches
}

const (
	memoryTick = time.Second
	memoryTold = time.Minute
)

// newMemory makes one that measures nothing yet.
func newMemory(o *config.Options, clients, links, parts *outbound.Budget, log *slog.Logger) *memory {
	m := &memory{clients: clients, links: links, parts: parts, log: log, stop: make(chan struct{})}
	m.limit, m.from = MemoryLimit(o)
	m.setParts(o.MaxPayload)
	m.setMost(o.MaxPendingTotal)
	return m
}

// setParts changes what messages of at most maxPayload bytes may hold that have
// come in part: two of them have room, if they are not out of all proportion.
func (m *memory) setParts(maxPayload int) {
	m.parts.SetLimit(max(m.limit/8, min(2*int64(maxPayload), m.limit/4)))
}

// setMost changes max_pending_total.
func (m *memory) setMost(n int64) {
	m.mu.Lock()
	m.mu.most = n
	m.mu.Unlock()
	m.bound(m.other.Load())
}

// begin starts the goroutine that measures; without a limit there is none.
func (m *memory) begin() {
	if m.limit > 0 {
		m.log.Info("Memory limit", "bytes", m.limit, "from", m.from)
		m.done.Go(m.run)
	}
}

// end stops it and waits.
func (m *memory) end() {
	close(m.stop)
	m.done.Wait()
}

func (m *memory) run() {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	g := newGauge()
	var told time.Time
	for held := m.held() + m.parts.Held(); ; {
		select {
		case <-m.stop:
			return
		case now := <-tick.C:
			before := held
			held = m.held() + m.parts.Held()
			// What waited when the collector looked is not known: the most of
			// two moments around it.
			other := m.other.Load()
			if used, ok := g.read(); ok {
				other = max(used-max(held, before), 0)
			}
			m.bound(other)
			m.emptyCaches()
			if m.short.Load() && now.Sub(told) >= memoryTold {
				told = now
				m.log.Warn("Memory is short: publishers to streams are held up or refused, and clients that do not read are closed",
					"limit", m.limit, "from", m.from, "in_use", m.other.Load(), "waiting", m.held(), "partial", m.parts.Held(),
					"staged", m.store().Staged, "journal", m.store().Journal, "caches", m.store().Caches)
			}
		}
	}
}

// emptyCaches gives the memory of caches back while there is none for publishers.
func (m *memory) emptyCaches() {
	if s := m.streams.Load(); s != nil && m.short.Load() {
		s.empty()
	}
}

// store is what JetStream holds, of all else.
func (m *memory) store() jetstream.Held {
	if s := m.streams.Load(); s != nil {
		return s.held()
	}
	return jetstream.Held{}
}

// held is all that waits.
func (m *memory) held() int64 { return m.clients.Held() + m.links.Held() }

// bound sets what may wait when all else takes other bytes: a third is for links,
// which do not take from clients, nor clients from them.
func (m *memory) bound(other int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.other.Store(other)
	clients, links, short := m.mu.most, int64(0), false
	if m.limit > 0 {
		var n int64
		n, short = waitingLimit(m.limit, other+m.parts.Held())
		links = n / 3
		if n -= links; clients == 0 || n < clients {
			clients = n
		}
	}
	m.short.Store(short)
	m.clients.SetLimit(clients)
	m.links.SetLimit(links)
}

// waitingLimit is how much may wait for clients in a process that may take limit
// bytes, when all else takes other; short says that there is no room for more of
// anything.
func waitingLimit(limit, other int64) (bytes int64, short bool) {
	least := limit / 16
	left := limit/4*3 - other
	return max(left/3*2, least), left < least
}

// Short reports whether publishers must wait.
func (m *memory) Short() bool { return m.short.Load() }

// describe is for /varz; nil without a limit.
func (m *memory) describe() *monitor.MemoryVarz {
	if m.limit == 0 {
		return nil
	}
	store := m.store()
	return &monitor.MemoryVarz{
		Limit: m.limit, From: m.from, InUse: m.other.Load(), Waiting: m.held(), Partial: m.parts.Held(), WaitingLimit: m.clients.Limit() + m.links.Limit(), Short: m.short.Load(),
		Staged: store.Staged, Journal: store.Journal, Caches: store.Caches,
	}
}

// share is n, or less where the process may take little memory: a part of that.
// It is 0, which leaves the default, without a limit.
func (m *memory) share(n, part int64) int64 { return min(n, m.limit/part) }

// gauge reads what is in use of Go's memory: what the last collection found
// alive, and what is no heap.
type gauge struct {
	samples []metrics.Sample
	cycles  uint64
}

const (
	gaugeCycles = iota
	gaugeLive
	gaugeTotal
	gaugeObjects
	gaugeUnused
	gaugeFree
	gaugeReleased
)

func newGauge() *gauge {
	g := &gauge{}
	for _, n := range []string{
		gaugeCycles:   "/gc/cycles/total:gc-cycles",
		gaugeLive:     "/gc/heap/live:bytes",
		gaugeTotal:    "/memory/classes/total:bytes",
		gaugeObjects:  "/memory/classes/heap/objects:bytes",
		gaugeUnused:   "/memory/classes/heap/unused:bytes",
		gaugeFree:     "/memory/classes/heap/free:bytes",
		gaugeReleased: "/memory/classes/heap/released:bytes",
	} {
		g.samples = append(g.samples, metrics.Sample{Name: n})
	}
	return g
}

// read is false when there was no collection since the last time: nothing is
// known that is new.
func (g *gauge) read() (bytes int64, ok bool) {
	metrics.Read(g.samples)
	at := func(i int) int64 { return int64(g.samples[i].Value.Uint64()) }
	if n := g.samples[gaugeCycles].Value.Uint64(); n == g.cycles {
		return 0, false
	} else {
		g.cycles = n
	}
	return at(gaugeLive) + at(gaugeTotal) - at(gaugeObjects) - at(gaugeUnused) - at(gaugeFree) - at(gaugeReleased), true
}
