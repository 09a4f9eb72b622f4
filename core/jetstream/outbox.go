package jetstream

import (
	"sync"

	"github.com/frondmq/frond/core/cond"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/origins"
	"github.com/frondmq/frond/core/wire"
)

// outbox sends messages for those who are inside the routing of another
// message and must not route one themselves: refusals of publishes, advisories.
// It is one goroutine with a bounded queue; what does not fit is dropped, for
// neither has a promise behind it.
type outbox struct {
	mu struct {
		sync.Mutex
		more   cond.Var // in the queue, or closed
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
	chosen  bool // see wire.Msg
}

const maxOutboxBytes = 4 << 20

func newOutbox() *outbox {
	o := &outbox{stopped: make(chan struct{})}
	o.mu.more = cond.New(&o.mu.Mutex, 1)
	return o
}

func (o *outbox) start() { go o.run() }

// send keeps header and body. Somebody else named the subject.
func (o *outbox) send(a *account, subject string, header, body []byte) {
	o.put(outMsg{acct: a, subject: subject, header: header, body: body})
}

// event sends what the engine tells of its own accord.
func (o *outbox) event(a *account, subject string, body []byte) {
	o.put(outMsg{acct: a, subject: subject, body: body, chosen: true})
}

func (o *outbox) put(m outMsg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := len(m.subject) + len(m.header) + len(m.body)
	if o.mu.closed || o.mu.bytes+size > maxOutboxBytes {
		return
	}
	o.mu.bytes += size
	o.mu.queue = append(o.mu.queue, m)
	if len(o.mu.queue) == 1 {
		o.mu.more.Signal()
	}
}

func (o *outbox) run() {
	defer close(o.stopped)
	pubs := publishers{}
	for {
		o.mu.Lock()
		for len(o.mu.queue) == 0 && !o.mu.closed {
			o.mu.more.Wait()
		}
		queue := o.mu.queue
		o.mu.queue, o.mu.bytes = nil, 0
		o.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		sendAll(queue, &pubs)
	}
}

func sendAll(queue []outMsg, pubs *publishers) {
	var m wire.Msg
	for i := range queue {
		q := &queue[i]
		if p := pubs.of(q.acct); p != nil {
			m = wire.Msg{Subject: []byte(q.subject), Header: q.header, Body: q.body, Chosen: q.chosen}
			p.Publish(&m)
		}
	}
	pubs.flush()
}

func (o *outbox) close() {
	o.mu.Lock()
	o.mu.closed = true
	o.mu.more.Signal()
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

// Publish sends nothing to where a server would take it for a request, unless
// the engine itself chose the subject.
func (p *accountPublisher) Publish(m *wire.Msg) int {
	if !m.Chosen && consumer.Reserved(m.Subject) {
		return 0
	}
	return p.Publisher.Publish(m)
}

// asked takes requests for h, and only those that are meant: what a server
// answers, delivers or republishes is none, wherever it arrives.
func asked(h func(m *wire.Msg)) func(m *wire.Msg) {
	return func(m *wire.Msg) {
		if !m.Own || m.Chosen {
			h(m)
		}
	}
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

// Into is part of origins.Outlet: s is one of the engine's.
func (p *publishers) Into(s origins.Stream) origins.Publisher {
	if to := p.of(s.(*stream).acct); to != nil {
		return to
	}
	return nil
}

func (p *publishers) flush() {
	for _, ap := range p.touched {
		ap.dirty = false
		ap.Flush()
	}
	p.touched = p.touched[:0]
}
