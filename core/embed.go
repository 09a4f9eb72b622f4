package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
)

// What programs that embed a server publish and hear without a connection, in
// the account $G and with all rights. It is safe for concurrent use.

var (
	// ErrBadSubject: the subject can't be published or subscribed to.
	ErrBadSubject = errors.New("bad subject")
	// ErrTooLarge: the message has more than max_payload bytes.
	ErrTooLarge = errors.New("the message is larger than max_payload")
)

// Message is what a Subscription hears. It belongs to its handler.
type Message struct {
	Subject string
	Reply   string // where an answer goes; "" where none is asked for
	Header  []byte // the block as it is on the wire ("NATS/1.0", ADR-4); nil without
	Data    []byte
}

// embedded is what the program around the server has of it.
type embedded struct {
	running context.Context // until Shutdown; fixed at construction
	stop    context.CancelFunc

	sync.Mutex
	subs  map[*Subscription]struct{}
	ended bool
	work  sync.WaitGroup // the goroutines of subs, and who publishes or asks

	publisher struct {
		sync.Mutex                 // while a message is routed, which may wait for the disk
		origin     *account.Origin // nil before the first message
	}
}

// Publish sends a message to all who listen. Like a client that publishes much
// it waits a little for receivers that are behind. Errors: ErrNotRunning,
// ErrBadSubject, ErrTooLarge.
func (s *Server) Publish(subj string, data []byte) error { return s.PublishRequest(subj, "", data) }

// PublishRequest is Publish with a subject for answers.
func (s *Server) PublishRequest(subj, reply string, data []byte) error {
	if err := s.publishable(subj, data); err != nil {
		return err
	}
	m := &wire.Msg{Subject: []byte(subj), Body: data}
	if reply != "" {
		if !subject.ValidLiteral(reply) {
			return fmt.Errorf("%w for answers: %q", ErrBadSubject, reply)
		}
		m.Reply = []byte(reply)
	}
	e := &s.embedded
	if !e.enter(s) {
		return ErrNotRunning
	}
	defer e.work.Done()
	p := &e.publisher
	p.Lock()
	if p.origin == nil {
		p.origin = account.NewOrigin(nil, account.RoleClient, "")
	}
	s.global.Route(p.origin, m)
	p.origin.Flush()
	gates := append([]<-chan struct{}(nil), p.origin.Gates()...)
	p.Unlock()
	if len(gates) > 0 {
		s.stalls.Add(1)
		Stall(gates)
	}
	return nil
}

func (s *Server) publishable(subj string, data []byte) error {
	limit := s.Options().MaxPayload
	switch {
	case !subject.ValidLiteral(subj):
		return fmt.Errorf("%w: %q", ErrBadSubject, subj)
	case len(data) > limit:
		return fmt.Errorf("%w: %d of %d bytes", ErrTooLarge, len(data), limit)
	}
	return nil
}

// enter begins something that Shutdown waits for, by work.Done.
func (e *embedded) enter(s *Server) bool {
	e.Lock()
	defer e.Unlock()
	if e.ended || !s.running() {
		return false
	}
	e.work.Add(1)
	return true
}

// Subscription is interest of the program around the server.
type Subscription struct {
	s       *Server
	sub     *account.Sub
	handle  func(*Message)
	limit   int // bytes that wait
	dropped atomic.Uint64

	mu struct {
		sync.Mutex
		waiting []*Message
		bytes   int
		closed  bool
	}
	wake chan struct{} // holds one
}

// Subscribe calls handle for each message on subj, a subject or a pattern, one
// after the other and in order, on a goroutine of the subscription. With a queue
// name one member of that queue gets each message. Up to max_pending bytes wait
// for the handler, each message counting 100 more than it has; what comes then is
// dropped and counted. A handler may publish, subscribe and close, and must not
// call Shutdown, which waits for it. Errors: ErrNotRunning, ErrBadSubject, and one
// without a handler.
func (s *Server) Subscribe(subj, queue string, handle func(*Message)) (*Subscription, error) {
	if !subject.ValidPattern(subj) || queue != "" && !subject.ValidLiteral(queue) {
		return nil, fmt.Errorf("%w: %q, queue %q", ErrBadSubject, subj, queue)
	}
	if handle == nil {
		return nil, fmt.Errorf("subscribe to %s: there is no handler", subj)
	}
	k := &Subscription{s: s, handle: handle, limit: int(s.Options().MaxPending), wake: make(chan struct{}, 1)}
	k.sub = &account.Sub{Subject: subj, Queue: queue, Sink: k}
	e := &s.embedded
	e.Lock()
	defer e.Unlock()
	if e.ended || !s.running() {
		return nil, ErrNotRunning
	}
	if err := s.global.Subscribe(k.sub); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSubject, err)
	}
	if e.subs == nil {
		e.subs = make(map[*Subscription]struct{})
	}
	e.subs[k] = struct{}{}
	e.work.Go(k.run)
	return k, nil
}

// Close ends the interest. What waits is not handled any more. It does not wait
// for a handler that runs, so that handlers may call it; Shutdown does.
func (k *Subscription) Close() {
	k.sub.End()
	k.mu.Lock()
	k.mu.closed, k.mu.waiting = true, nil
	k.mu.Unlock()
	k.Flush()
	e := &k.s.embedded
	e.Lock()
	delete(e.subs, k)
	e.Unlock()
}

// Dropped is how many messages found no room.
func (k *Subscription) Dropped() uint64 { return k.dropped.Load() }

// messageWeight is what a message that waits takes beside its bytes, about: else
// millions of empty ones would wait.
const messageWeight = 100

// Role is part of account.Sink.
func (*Subscription) Role() account.Role { return account.RoleClient }

// Cluster is part of account.Sink.
func (*Subscription) Cluster() string { return "" }

// Deliver is part of account.Sink.
func (k *Subscription) Deliver(_ *account.Sub, m *wire.Msg) bool {
	size := messageWeight + len(m.VisibleSubject()) + len(m.Reply) + len(m.Header) + len(m.Body)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.closed {
		return false
	}
	if k.mu.bytes+size > k.limit {
		k.dropped.Add(1)
		return false
	}
	k.mu.bytes += size
	k.mu.waiting = append(k.mu.waiting, &Message{
		Subject: string(m.VisibleSubject()), Reply: string(m.Reply), Header: bytes.Clone(m.Header), Data: bytes.Clone(m.Body),
	})
	return true
}

// Flush is part of account.Sink.
func (k *Subscription) Flush() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Subscription) run() {
	for range k.wake {
		for {
			m, closed := k.next()
			if closed {
				return
			}
			if m == nil {
				break
			}
			k.handle(m)
		}
	}
}

// next takes the oldest message; nil when there is none.
func (k *Subscription) next() (m *Message, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.closed || len(k.mu.waiting) == 0 {
		return nil, k.mu.closed
	}
	m = k.mu.waiting[0]
	k.mu.waiting[0] = nil
	k.mu.waiting = k.mu.waiting[1:]
	k.mu.bytes -= messageWeight + len(m.Subject) + len(m.Reply) + len(m.Header) + len(m.Data)
	return m, false
}

// end closes all subscriptions and waits for their handlers, and for who publishes
// or asks.
func (e *embedded) end(ctx context.Context) error {
	e.stop()
	e.Lock()
	e.ended = true
	subs := make([]*Subscription, 0, len(e.subs))
	for k := range e.subs {
		subs = append(subs, k)
	}
	e.Unlock()
	for _, k := range subs {
		k.Close()
	}
	return waitFor(ctx, &e.work)
}
