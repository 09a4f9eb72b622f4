package jetstream

import (
	"sync"

	"github.com/frondmq/frond/core/wire"
)

// outbox sends messages for those who are inside the routing of another
// message and must not route one themselves: refusals of publishes, advisories.
// It is one goroutine with a bounded queue; what does not fit is dropped, for
// neither has a promise behind it.
type outbox struct {
	mu struct {
		sync.Mutex
		cond   *sync.Cond
		queue  []outMsg
		bytes  int
		closed bool
	}
	stopped chan struct{}
}

type outMsg struct {
	acct    *account
	subject string
	header  []byte
	body    []byte
}

const maxOutboxBytes = 4 << 20

func newOutbox() *outbox {
	o := &outbox{stopped: make(chan struct{})}
	o.mu.cond = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) start() { go o.run() }

// send keeps header and body.
func (o *outbox) send(a *account, subject string, header, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := len(subject) + len(header) + len(body)
	if o.mu.closed || o.mu.bytes+size > maxOutboxBytes {
		return
	}
	o.mu.bytes += size
	o.mu.queue = append(o.mu.queue, outMsg{a, subject, header, body})
	if len(o.mu.queue) == 1 {
		o.mu.cond.Signal()
	}
}

func (o *outbox) run() {
	defer close(o.stopped)
	pubs := publishers{}
	for {
		o.mu.Lock()
		for len(o.mu.queue) == 0 && !o.mu.closed {
			o.mu.cond.Wait()
		}
		queue := o.mu.queue
		o.mu.queue, o.mu.bytes = nil, 0
		o.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		var m wire.Msg
		for i := range queue {
			q := &queue[i]
			if p := pubs.of(q.acct); p != nil {
				m = wire.Msg{Subject: []byte(q.subject), Header: q.header, Body: q.body}
				p.Publish(&m)
			}
		}
		pubs.flush()
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	o.mu.closed = true
	o.mu.cond.Signal()
	o.mu.Unlock()
	<-o.stopped
}

// publishers are one goroutine's ways into accounts.
type publishers struct {
	m       map[*account]*accountPublisher
	touched []*accountPublisher
}

type accountPublisher struct {
	Publisher
	bus   Bus
	dirty bool
}

// of gives the publisher into a, which the next flush flushes; nil while the
// account has no bus.
func (p *publishers) of(a *account) Publisher {
	b := a.bus()
	if b == nil {
		return nil
	}
	ap := p.m[a]
	if ap == nil || ap.bus != b {
		if p.m == nil {
			p.m = make(map[*account]*accountPublisher)
		}
		ap = &accountPublisher{Publisher: b.Publisher(), bus: b}
		p.m[a] = ap
	}
	if !ap.dirty {
		ap.dirty = true
		p.touched = append(p.touched, ap)
	}
	return ap
}

func (p *publishers) flush() {
	for _, ap := range p.touched {
		ap.dirty = false
		ap.Flush()
	}
	p.touched = p.touched[:0]
}
