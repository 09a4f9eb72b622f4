package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the proxy: two sockets and, for each
// direction, a reader and a writer with a short queue between them. The queue
// is what makes latency possible without lowering throughput.
type link struct {
	p        *Proxy
	client   *net.TCPConn
	gates    [2]*bucket
	stranded atomic.Bool
	done     chan struct{} // closed by reset
	once     sync.Once

	mu struct {
		sync.Mutex
		target *net.TCPConn
		reset  bool
	}
}

type direction uint8

const (
	upward direction = iota
	downward
)

// chunk is a piece of the stream and the moment it may be written.
type chunk struct {
	due  time.Time
	data []byte
}

const (
	wholeChunk = 32 << 10
	// smallChunk keeps what sits in the queue of a throttled link to 64 KB.
	smallChunk = 1 << 10
	queueLen   = 64
)

func newLink(p *Proxy, c *net.TCPConn, up, down *bucket) *link {
	return &link{p: p, client: c, gates: [2]*bucket{up, down}, done: make(chan struct{})}
}

// reset closes both sockets with RST. Idempotent.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		l.mu.Lock()
		l.mu.reset = true
		target := l.mu.target
		l.mu.Unlock()
		for _, c := range []*net.TCPConn{l.client, target} {
			if c != nil {
				_ = c.SetLinger(0) // makes Close send RST instead of FIN
				_ = c.Close()
			}
		}
	})
}

func (l *link) run() {
	defer l.p.remove(l)
	defer l.reset()
	// A connection that arrives while nothing moves reaches the target only
	// when something moves again.
	if !l.await(upward) {
		return
	}
	target, ok := l.dial()
	if !ok {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.pump(upward, l.client, target) })
	wg.Go(func() { l.pump(downward, target, l.client) })
	wg.Wait()
}

func (l *link) dial() (*net.TCPConn, bool) {
	addr := l.p.now().target
	if addr == "" {
		return nil, false
	}
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.reset {
		_ = c.Close()
		return nil, false
	}
	l.mu.target = c.(*net.TCPConn)
	l.p.dials.Add(1)
	return l.mu.target, true
}

// pump moves one direction until its source ends, then half-closes the
// destination; an error resets the whole link.
func (l *link) pump(d direction, src, dst *net.TCPConn) {
	queue := make(chan chunk, queueLen)
	var wg sync.WaitGroup
	wg.Go(func() { l.write(d, dst, queue) })
	defer wg.Wait()
	defer close(queue)
	buf := make([]byte, wholeChunk)
	for {
		if !l.await(d) {
			return
		}
		size := wholeChunk
		if l.p.now().rate > 0 {
			size = smallChunk
		}
		n, err := src.Read(buf[:size])
		if n > 0 {
			c := chunk{due: time.Now().Add(l.p.now().latency), data: append([]byte(nil), buf[:n]...)}
			select {
			case queue <- c:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) write(d direction, dst *net.TCPConn, queue <-chan chunk) {
	for c := range queue {
		if !l.pause(time.Until(c.due)) || !l.await(d) {
			return
		}
		if !l.pause(l.gates[d].take(len(c.data), l.p.now().rate, time.Now())) {
			return
		}
		if !l.await(d) {
			return
		}
		// Counted first: whoever has received a byte finds it counted.
		total := &l.p.up
		if d == downward {
			total = &l.p.down
		}
		total.Add(int64(len(c.data)))
		n, err := dst.Write(c.data)
		total.Add(int64(n - len(c.data)))
		if err != nil {
			l.reset()
			return
		}
	}
	_ = dst.CloseWrite()
}

// await returns when bytes may move in direction d, or false when the link is
// gone.
func (l *link) await(d direction) bool {
	for {
		cond := l.p.now()
		stalled := cond.mode == Stall || l.stranded.Load() ||
			cond.mode == StallUp && d == upward || cond.mode == StallDown && d == downward
		if !stalled {
			select {
			case <-l.done:
				return false
			default:
				return true
			}
		}
		select {
		case <-cond.changed:
		case <-l.done:
			return false
		}
	}
}

// pause waits for d, or returns false when the link is gone.
func (l *link) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.done:
		return false
	}
}

// bucket spaces the bytes of one direction of all links of a proxy.
type bucket struct {
	mu struct {
		sync.Mutex
		free time.Time // when the line is free again
	}
}

// take books n bytes at rate bytes per second and returns how long the caller
// must wait for its turn to be over.
func (b *bucket) take(n, rate int, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.free.Before(now) {
		b.mu.free = now
	}
	b.mu.free = b.mu.free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return b.mu.free.Sub(now)
}
