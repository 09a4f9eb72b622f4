package jsclient

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/frondmq/frond/core/wire"
)

const (
	// DefaultHeartbeat is how often a consumer says that it is there while it has
	// nothing to deliver. It counts as gone when it is silent for two of them.
	DefaultHeartbeat = 5 * time.Second
	// expireBeats is how many heartbeats long a pull request waits.
	expireBeats = 6
	// maxPulls is how many pull requests are on their way at once: the second one
	// is sent while the first is served, so that no round trip is lost.
	maxPulls = 2

	retryFirst = 50 * time.Millisecond // before what failed is tried again
	retryMost  = 5 * time.Second
)

// fetched is a message as a consumer delivered it.
type fetched struct {
	Message
	place
	reply []byte
	gen   uint64 // which of the consumers of a puller
}

// pull is a pull request on its way.
type pull struct {
	n    uint64 // of all requests of the puller
	left int    // messages it may still bring
}

// puller fetches from a consumer: it asks for as much as there is room for, notices
// that the consumer or the way to it is gone, and then has it set up again.
type puller struct {
	c        *Client
	id       uint64
	max      int // messages that wait here, are asked for, or in work
	maxBytes int // of one request
	beat     time.Duration
	toEnd    bool // ask only for what is there
	keep     bool // whatever comes is welcome, asked for or not
	inbox    string
	turn     chan struct{}
	wake     chan struct{} // holds one

	mu struct {
		sync.Mutex
		closed  bool
		cancel  func() // of the interest in inbox
		ready   bool   // a consumer is set up
		gen     uint64
		next    string // subject of pull requests
		batch   int    // largest that the consumer takes
		n       uint64 // of pull requests
		pulls   []pull
		queue   []*fetched
		head    int
		work    int       // handed out and not settled
		heard   time.Time // when the consumer was heard, or asked
		single  bool      // a message is larger than maxBytes
		end     bool      // nothing is left, with toEnd
		failed  error     // what a pull request was refused with
		waits   time.Duration
		retryAt time.Time
	}
}

func (p *puller) open(c *Client, max, maxBytes int, beat time.Duration) error {
	p.c, p.max, p.maxBytes, p.beat = c, max, maxBytes, beat
	if p.max <= 0 {
		p.max = 256
	}
	if p.maxBytes <= 0 {
		p.maxBytes = 1 << 20
	}
	if p.beat <= 0 {
		p.beat = DefaultHeartbeat
	}
	p.turn, p.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	var err error
	if p.id, err = c.add(p); err != nil {
		return err
	}
	// An inbox of its own: with the interest in it what was asked for ends.
	p.inbox = c.inbox + strconv.FormatUint(p.id, 10) + "."
	cancel, err := c.bus.Subscribe(p.inbox+"*", "", p.fetched)
	if err != nil {
		c.remove(p.id)
		return err
	}
	p.mu.Lock()
	p.mu.cancel = cancel
	closed := p.mu.closed // with the client
	p.mu.Unlock()
	if closed {
		cancel()
	}
	return nil
}

func (p *puller) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close is part of handler.
func (p *puller) close() {
	p.c.remove(p.id)
	p.mu.Lock()
	p.mu.closed = true
	p.mu.queue, p.mu.head = nil, 0
	cancel := p.mu.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	p.poke()
}

// reachable is part of handler.
func (p *puller) reachable(yes bool) {
	p.mu.Lock()
	if !yes {
		p.resetLocked()
	}
	p.mu.retryAt, p.mu.waits = time.Time{}, 0
	p.mu.Unlock()
	p.poke()
}

// resetLocked makes the next look set the consumer up again.
func (p *puller) resetLocked() {
	p.mu.ready, p.mu.end = false, false
	p.mu.pulls = p.mu.pulls[:0]
}

// answered is part of handler: there are no answers but to pull requests.
func (p *puller) answered(uint64, *wire.Msg) {}

// fetched takes the answers to pull requests, on whichever goroutine routes them.
func (p *puller) fetched(m *wire.Msg) {
	n, ok := parseUint(bytes.TrimPrefix(m.Subject, []byte(p.inbox)))
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := -1
	for i := range p.mu.pulls {
		if p.mu.pulls[i].n == n {
			at = i
		}
	}
	place, ok := parsePlace(m.Reply)
	switch {
	case p.mu.closed:
		return
	case at < 0 && !(ok && p.keep && len(p.mu.queue)-p.mu.head < maxPulls*p.max):
		return // of an earlier consumer, or more than was asked for
	}
	p.mu.heard = time.Now()
	if !ok {
		p.statusLocked(at, m.Header)
		return
	}
	p.mu.single, p.mu.waits = false, 0
	p.mu.queue = append(p.mu.queue, &fetched{
		Message: Message{
			Subject: string(m.VisibleSubject()), Seq: place.seq, Time: place.time,
			Header: bytes.Clone(m.Header), Data: bytes.Clone(m.Body),
		},
		place: place, reply: bytes.Clone(m.Reply), gen: p.mu.gen,
	})
	if at >= 0 {
		if p.mu.pulls[at].left--; p.mu.pulls[at].left == 0 {
			p.dropLocked(at)
		}
	}
	p.poke()
}

func (p *puller) dropLocked(at int) { p.mu.pulls = append(p.mu.pulls[:at], p.mu.pulls[at+1:]...) }

// statusLocked takes what ends a pull request, or a heartbeat.
func (p *puller) statusLocked(at int, header []byte) {
	code, text := wire.HeaderStatus(header)
	switch {
	case code == 100 || code == 0:
		return
	case code == 404:
		p.mu.end = p.toEnd
		p.dropLocked(at)
	case code == 408:
		p.dropLocked(at)
	case code == 409 && bytes.HasPrefix(text, []byte("Batch Completed")):
		p.dropLocked(at)
	case code == 409 && bytes.HasPrefix(text, []byte("Message Size Exceeds MaxBytes")):
		p.mu.single = true
		p.dropLocked(at)
	case code == 400, code == 409 && bytes.HasPrefix(text, []byte("Exceeded Max")) && !bytes.HasSuffix(text, []byte("MaxWaiting")):
		p.mu.failed = &APIError{Code: code, Description: string(text)}
		p.resetLocked()
	default: // the consumer is gone, or its server, or does not take the request
		p.resetLocked()
		p.laterLocked()
	}
	p.poke()
}

// laterLocked puts off the next try, each time for longer.
func (p *puller) laterLocked() {
	p.mu.waits = min(max(2*p.mu.waits, retryFirst), retryMost)
	p.mu.retryAt = time.Now().Add(p.mu.waits)
}

// errEnd says that nothing is left, with toEnd.
var errEnd = errors.New("end")

// lock waits for the turn of one caller of Next after the other.
func (p *puller) lock(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *puller) unlock() { <-p.turn }

// next gives the oldest message that waits, or waits for one. setUp makes the
// consumer ready; take says whether a message is to be given. The caller has the
// turn.
func (p *puller) next(ctx context.Context, setUp func(ctx context.Context) error, take func(f *fetched) bool) (*fetched, error) {
	for {
		f, wait, err := p.look(take)
		if f != nil || err != nil {
			return f, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if wait == 0 {
			if err := p.setUp(ctx, setUp); err != nil {
				return nil, err
			}
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-p.wake:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// look takes a message and asks for more where there is room. Without one it says
// how long to wait for it at most; 0 is that the consumer must be set up.
func (p *puller) look(take func(f *fetched) bool) (f *fetched, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.mu.closed {
			return nil, 0, ErrClosed
		}
		if f = p.popLocked(); f == nil {
			break
		}
		if take(f) {
			p.mu.work++
			break
		}
	}
	if err = p.mu.failed; f == nil && err != nil {
		p.mu.failed = nil
		return nil, 0, err
	}
	if f == nil && p.mu.end && len(p.mu.pulls) == 0 {
		return nil, 0, errEnd
	}
	if p.mu.ready {
		p.askLocked()
	}
	now := time.Now()
	switch {
	case f != nil:
		return f, 0, nil
	case !p.mu.ready:
		return nil, max(p.mu.retryAt.Sub(now), 0), nil
	case len(p.mu.pulls) == 0:
		return nil, time.Hour, nil // all that may be in work is
	}
	if at := p.c.bus.HalfReadAt(); at.After(p.mu.heard) {
		p.mu.heard = at // a message is on its way, slowly
	}
	if wait = p.mu.heard.Add(2 * p.beat).Sub(now); wait <= 0 {
		p.resetLocked()
		return nil, 0, nil
	}
	return nil, wait, nil
}

func (p *puller) popLocked() *fetched {
	if p.mu.head == len(p.mu.queue) {
		return nil
	}
	f := p.mu.queue[p.mu.head]
	p.mu.queue[p.mu.head] = nil
	if p.mu.head++; 2*p.mu.head >= len(p.mu.queue) {
		n := copy(p.mu.queue, p.mu.queue[p.mu.head:])
		clear(p.mu.queue[n:])
		p.mu.queue, p.mu.head = p.mu.queue[:n], 0
	}
	return f
}

// askLocked sends a pull request when half of the room is free.
func (p *puller) askLocked() {
	room := p.max - p.mu.work - (len(p.mu.queue) - p.mu.head)
	for _, q := range p.mu.pulls {
		room -= q.left
	}
	most := maxPulls
	if p.toEnd {
		most = 1
	}
	if room <= 0 || len(p.mu.pulls) >= most || p.mu.end || len(p.mu.pulls) > 0 && room < p.max/2 {
		return
	}
	if p.mu.batch > 0 {
		room = min(room, p.mu.batch)
	}
	b := make([]byte, 0, 128)
	if p.mu.single {
		room = 1
	}
	b = strconv.AppendInt(append(b, `{"batch":`...), int64(room), 10)
	if !p.mu.single {
		b = strconv.AppendInt(append(b, `,"max_bytes":`...), int64(p.maxBytes), 10)
	}
	if p.toEnd {
		b = append(b, `,"no_wait":true`...)
	} else {
		b = strconv.AppendInt(append(b, `,"expires":`...), int64(expireBeats*p.beat), 10)
		b = strconv.AppendInt(append(b, `,"idle_heartbeat":`...), int64(p.beat), 10)
	}
	b = append(b, '}')
	p.mu.n++
	q := pull{p.mu.n, room}
	p.mu.pulls = append(p.mu.pulls, q)
	if len(p.mu.pulls) == 1 {
		p.mu.heard = time.Now()
	}
	msg := wire.Msg{Subject: []byte(p.mu.next), Reply: strconv.AppendUint([]byte(p.inbox), q.n, 10), Body: b}
	gen := p.mu.gen
	p.mu.Unlock() // what is routed may come back at once
	n, err := p.c.pub.publish(&msg)
	p.mu.Lock()
	if (n == 0 || err != nil) && gen == p.mu.gen {
		p.resetLocked()
		p.laterLocked()
	}
}

// setUp has the consumer made ready, and waits before the next try when that
// failed for a reason that passes.
func (p *puller) setUp(ctx context.Context, f func(ctx context.Context) error) error {
	call, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	err := f(call)
	var api *APIError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrClosed), errors.As(err, &api) && api.Code != 503 && api.Code != 429:
		return err
	case errors.Is(err, ErrNoResponders), errors.Is(err, ErrTimeout), errors.Is(err, ErrLost), api != nil:
		p.mu.Lock()
		p.laterLocked()
		p.mu.Unlock()
		return nil
	}
	return err
}

// begin starts with a consumer that was set up: requests go to next. gen is that of
// what comes now.
func (p *puller) begin(next string, batch int) (gen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.gen++
	p.mu.ready, p.mu.next, p.mu.batch, p.mu.end = true, next, batch, false
	p.mu.pulls = p.mu.pulls[:0]
	if !p.keep {
		p.mu.queue, p.mu.head = nil, 0
	}
	p.mu.retryAt = time.Time{}
	return p.mu.gen
}

// done takes one message out of work.
func (p *puller) done() {
	p.mu.Lock()
	p.mu.work--
	p.mu.Unlock()
	p.poke()
}

// again makes the next look set the consumer up again, at once.
func (p *puller) again() {
	p.mu.Lock()
	p.resetLocked()
	p.mu.Unlock()
}
