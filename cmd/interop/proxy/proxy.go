package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Mode says what the link does with bytes and with new connections.
type Mode uint8

const (
	// Pass lets everything through, within the throttle and the latency.
	Pass Mode = iota
	// Refuse resets every new connection at once. Live ones go on: use Cut to
	// end them.
	Refuse
	// Stall keeps every socket open and moves nothing: a black hole. New
	// connections are taken and left hanging.
	Stall
	// StallUp moves nothing from the client to the target; the other
	// direction goes on.
	StallUp
	// StallDown moves nothing from the target to the client; the other
	// direction goes on.
	StallDown
)

// Counters are totals since New.
type Counters struct {
	Up    int64 // bytes written to the target
	Down  int64 // bytes written to the client
	Dials int64 // connections that reached the target
	Tries int64 // connections that clients opened, refused ones among them
}

// Proxy listens on a port of 127.0.0.1 and forwards to one target. Its methods
// may be called from any goroutine.
type Proxy struct {
	ln net.Listener // fixed at construction
	wg sync.WaitGroup

	up, down, dials, tries atomic.Int64

	mu struct {
		sync.Mutex
		conditions
		links  map[*link]struct{}
		closed bool
	}
}

// conditions is what a link looks at before it moves bytes. changed is closed
// and replaced with every change, so that waiting links look again.
type conditions struct {
	target  string
	mode    Mode
	rate    int // bytes per second and direction, 0 = unlimited
	latency time.Duration
	changed chan struct{}
}

// New starts a proxy in mode Pass. An empty target is allowed: until SetTarget
// new connections are reset.
func New(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &Proxy{ln: ln}
	p.mu.target = target
	p.mu.changed = make(chan struct{})
	p.mu.links = make(map[*link]struct{})
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is host:port where clients connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// SetTarget changes where new connections go.
func (p *Proxy) SetTarget(addr string) { p.change(func(c *conditions) { c.target = addr }) }

// Set changes the mode, for live connections too.
func (p *Proxy) Set(m Mode) { p.change(func(c *conditions) { c.mode = m }) }

// Throttle limits each direction of the whole proxy to bytesPerSecond;
// 0 lifts the limit.
func (p *Proxy) Throttle(bytesPerSecond int) {
	p.change(func(c *conditions) { c.rate = bytesPerSecond })
}

// Latency delays every byte in each direction by d.
func (p *Proxy) Latency(d time.Duration) { p.change(func(c *conditions) { c.latency = d }) }

// Cut resets every live connection (both ends see RST) and returns how many.
func (p *Proxy) Cut() int {
	links := p.snapshot()
	for _, l := range links {
		l.reset()
	}
	return len(links)
}

// Strand turns every live connection into a black hole for good, while new
// ones work: what a NAT does when it forgets a mapping. It returns how many.
func (p *Proxy) Strand() int {
	links := p.snapshot()
	for _, l := range links {
		l.stranded.Store(true)
	}
	p.change(func(*conditions) {})
	return len(links)
}

// Live is the number of connections open now.
func (p *Proxy) Live() int { return len(p.snapshot()) }

// Counters returns the totals so far.
func (p *Proxy) Counters() Counters {
	return Counters{Up: p.up.Load(), Down: p.down.Load(), Dials: p.dials.Load(), Tries: p.tries.Load()}
}

// Close stops listening, resets what is live and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	err := p.ln.Close()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) change(f func(*conditions)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.mu.conditions)
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

func (p *Proxy) now() conditions {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.conditions
}

func (p *Proxy) snapshot() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*link, 0, len(p.mu.links))
	for l := range p.mu.links {
		out = append(out, l)
	}
	return out
}

// add registers a link unless the proxy is closed.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false
	}
	p.mu.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.links, l)
}

func (p *Proxy) accept() {
	upGate, downGate := &bucket{}, &bucket{}
	for {
		c, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.tries.Add(1)
		l := newLink(p, c.(*net.TCPConn), upGate, downGate)
		if p.now().mode == Refuse || !p.add(l) {
			l.reset()
			continue
		}
		p.wg.Go(l.run)
	}
}
