package jsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// State is what became of a publish.
type State uint8

const (
	// Stored: the message is in the stream, durably if the stream is.
	Stored State = iota + 1
	// Refused: it is not, and never will be.
	Refused
	// Unknown: it may be or not.
	Unknown
)

func (s State) String() string {
	switch s {
	case Stored:
		return "stored"
	case Refused:
		return "refused"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Outcome is the end of one publish.
type Outcome struct {
	State State
	// Of what is stored: where, and whether it was before, under its message id.
	Stream    string
	Seq       uint64
	Duplicate bool
	// Err says why not. Refused: an *APIError, ErrNoResponders, ErrBadMessage.
	// Unknown: ErrTimeout, ErrLost, ErrClosed, wire.ErrUnknown.
	Err error
}

// WindowOptions are those of a Window.
type WindowOptions struct {
	// Max is how many publishes may be in flight; 0 is 256.
	Max int
	// Wait is how long an outcome is waited for; 0 is CallTimeout.
	Wait time.Duration
	// Told is given each outcome once, with the tag of the publish, in any order.
	// It is called on whatever goroutine knows first, that of Publish too, and by
	// several at once. It must neither block nor call the window.
	Told func(tag uint64, o Outcome)
}

// Window publishes with several messages in flight. Messages of one window are
// routed in the order of the calls, and a stream takes them in that order; one that
// is refused does not keep those behind it from being stored.
type Window struct {
	c   *Client
	o   WindowOptions
	id  uint64
	pub publisher
	buf struct { // guarded by pub.mu
		subject, reply, header []byte
		msg                    wire.Msg
	}
	room chan struct{} // has one for each flight

	mu struct {
		sync.Mutex
		closed      bool
		last        uint64             // number of the newest flight
		flights     map[uint64]*flight // by number
		first, tail *flight            // by age
		free        *flight            // linked by next
		lost        uint64             // flights up to this one are lost
		armed       bool               // the timer runs, or its function
		telling     int                // calls of Told
		quiet       chan struct{}      // closed when nothing is in flight or told; nil: nobody waits
	}
	timer *time.Timer
	work  sync.WaitGroup // the timer's function
}

// flight is one publish on its way. With a local engine it is its receipt.
type flight struct {
	w          *Window
	tag        uint64
	n          uint64
	until      time.Time
	alone      chan Outcome // of Client.Publish; nil: Told
	open       bool         // not told yet
	expected   bool         // a stream took it
	holds      int          // the routing, and streams that will say Stored: others have the pointer
	prev, next *flight
}

// NewWindow makes a window. Close it when it is done with. Errors: ErrClosed.
func (c *Client) NewWindow(o WindowOptions) (*Window, error) {
	if o.Max <= 0 {
		o.Max = 256
	}
	if o.Wait <= 0 {
		o.Wait = CallTimeout
	}
	w := &Window{c: c, o: o, room: make(chan struct{}, o.Max)}
	w.mu.flights = make(map[uint64]*flight)
	w.pub.p = c.bus.Publisher()
	w.timer = time.AfterFunc(time.Hour, w.expire)
	if w.timer.Stop(); o.Told == nil {
		w.o.Told = func(uint64, Outcome) {}
	}
	var err error
	if w.id, err = c.add(w); err != nil {
		return nil, err
	}
	return w, nil
}

// Publish sends m, waiting for room in the window as long as ctx allows, and
// while the stream holds publishers up for its disk. After a nil error Told is
// called once with tag, before or after Publish returns; after another nothing was
// sent and nothing is told. Errors: ErrBadMessage, ErrClosed, those of ctx.
func (w *Window) Publish(ctx context.Context, m *Outgoing, tag uint64) error {
	return w.publish(ctx, m, tag, nil)
}

func (w *Window) publish(ctx context.Context, m *Outgoing, tag uint64, alone chan Outcome) error {
	if err := m.check(); err != nil {
		return err
	}
	select {
	case w.room <- struct{}{}:
	default:
		select {
		case w.room <- struct{}{}:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
	w.pub.mu.Lock()
	defer w.pub.mu.Unlock()
	f := w.begin(tag, alone)
	if f == nil {
		<-w.room
		return ErrClosed
	}
	b := &w.buf
	b.subject = append(b.subject[:0], m.Subject...)
	b.header = m.appendHeader(b.header[:0])
	msg := &b.msg
	*msg = wire.Msg{Subject: b.subject, Body: m.Data}
	defer func() { *msg = wire.Msg{} }() // keeps nobody's data
	if len(b.header) > 0 {
		msg.Header = b.header
	}
	if w.c.o.Local {
		// A stream of the same subjects behind a link is not meant.
		msg.Receipt, msg.Here = f, true
	} else {
		b.reply = w.c.appendReply(b.reply[:0], w.id, f.n)
		msg.Reply = b.reply
	}
	n := w.pub.p.Publish(msg)
	w.pub.p.Flush()
	switch {
	case n == 0 && msg.Unfit != "":
		w.end(f, f.n, Outcome{State: Refused, Err: fmt.Errorf("%w: %s", ErrBadMessage, msg.Unfit)})
	case n == 0 || w.c.o.Local && !f.expected:
		w.end(f, f.n, Outcome{State: Refused, Err: ErrNoResponders})
	}
	w.release(f)
	return nil
}

// begin makes a flight; nil when the window is closed.
func (w *Window) begin(tag uint64, alone chan Outcome) *flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed {
		return nil
	}
	f := w.mu.free
	if f == nil {
		f = new(flight)
	} else {
		w.mu.free = f.next
	}
	w.mu.last++
	*f = flight{w: w, tag: tag, n: w.mu.last, until: time.Now().Add(w.o.Wait), alone: alone, open: true, holds: 1, prev: w.mu.tail}
	if f.prev != nil {
		f.prev.next = f
	} else {
		w.mu.first = f
	}
	w.mu.tail = f
	w.mu.flights[f.n] = f
	w.armLocked()
	return f
}

// armLocked sets the timer for the oldest flight, unless it is set.
func (w *Window) armLocked() {
	if w.mu.armed || w.mu.first == nil || w.mu.closed {
		return
	}
	w.mu.armed = true
	w.work.Add(1)
	w.timer.Reset(max(time.Until(w.mu.first.until), 0))
}

// end tells the outcome of flight n, if it was not told yet.
func (w *Window) end(f *flight, n uint64, o Outcome) {
	w.mu.Lock()
	if f.n != n || !f.open {
		w.mu.Unlock()
		return
	}
	w.unlinkLocked(f)
	tag, alone := f.tag, f.alone
	w.mu.telling++
	w.mu.Unlock()
	if alone != nil {
		alone <- o // holds one
	} else {
		w.o.Told(tag, o)
	}
	<-w.room
	w.mu.Lock()
	w.mu.telling--
	w.quietLocked()
	w.mu.Unlock()
}

func (w *Window) unlinkLocked(f *flight) {
	f.open = false
	delete(w.mu.flights, f.n)
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		w.mu.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		w.mu.tail = f.prev
	}
	f.prev, f.next = nil, nil
	w.freeLocked(f)
}

// freeLocked lets f be used again when it is told and nobody has it.
func (w *Window) freeLocked(f *flight) {
	if !f.open && f.holds == 0 {
		f.next, w.mu.free = w.mu.free, f
	}
}

// release takes one hold off f.
func (w *Window) release(f *flight) {
	w.mu.Lock()
	f.holds--
	w.freeLocked(f)
	w.mu.Unlock()
}

func (w *Window) quietLocked() {
	if w.mu.quiet != nil && len(w.mu.flights) == 0 && w.mu.telling == 0 {
		close(w.mu.quiet)
		w.mu.quiet = nil
	}
}

// Expect is part of wire.Receipt.
func (f *flight) Expect() {
	f.w.mu.Lock()
	f.expected = true
	f.holds++
	f.w.mu.Unlock()
}

// Stored is part of wire.Receipt.
func (f *flight) Stored(stream string, seq uint64, duplicate bool, err error) {
	w, n := f.w, f.n // which stay while f is held
	w.end(f, n, outcomeOf(stream, seq, duplicate, err))
	w.release(f)
}

func outcomeOf(stream string, seq uint64, duplicate bool, err error) Outcome {
	switch e := err.(type) {
	case nil:
		return Outcome{State: Stored, Stream: stream, Seq: seq, Duplicate: duplicate}
	case *APIError:
		return Outcome{State: Refused, Stream: stream, Err: wrongLast(e)}
	}
	return Outcome{State: Unknown, Stream: stream, Err: err}
}

// answered is part of handler.
func (w *Window) answered(n uint64, m *wire.Msg) {
	w.mu.Lock()
	f := w.mu.flights[n]
	w.mu.Unlock()
	if f == nil {
		return
	}
	if code, _ := wire.HeaderStatus(m.Header); code == 503 && len(m.Body) == 0 {
		w.end(f, n, Outcome{State: Refused, Err: ErrNoResponders})
		return
	}
	var ack struct {
		Error     *APIError `json:"error"`
		Stream    string    `json:"stream"`
		Seq       uint64    `json:"seq"`
		Domain    string    `json:"domain"`
		Duplicate bool      `json:"duplicate"`
	}
	if json.Unmarshal(m.Body, &ack) != nil || ack.Error == nil && ack.Seq == 0 {
		return // a program that answers on the subject; the stream's answer is to come
	}
	if ack.Domain != "" && w.c.o.Domain != "" && ack.Domain != w.c.o.Domain {
		return // a stream on the way takes the subject too
	}
	var err error
	if ack.Error != nil {
		err = ack.Error
	}
	w.end(f, n, outcomeOf(ack.Stream, ack.Seq, ack.Duplicate, err))
}

// reachable is part of handler: what is in flight when the way is lost is unknown,
// which the timer tells.
func (w *Window) reachable(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if yes || w.mu.first == nil {
		return
	}
	w.mu.lost = w.mu.last
	if w.mu.armed && w.timer.Stop() {
		w.timer.Reset(0)
	}
}

// expire tells what came to no end in time, or is lost.
func (w *Window) expire() {
	defer w.work.Done()
	for {
		w.mu.Lock()
		f, now := w.mu.first, time.Now()
		if f == nil || f.n > w.mu.lost && now.Before(f.until) {
			w.mu.armed = false
			w.armLocked()
			w.mu.Unlock()
			return
		}
		n, err := f.n, ErrTimeout
		if n <= w.mu.lost {
			err = ErrLost
		}
		w.mu.Unlock()
		w.end(f, n, Outcome{State: Unknown, Err: err})
	}
}

// Drain waits until nothing is in flight, which it may never be while others
// publish. Errors: those of ctx.
func (w *Window) Drain(ctx context.Context) error {
	w.mu.Lock()
	if w.mu.quiet == nil {
		w.mu.quiet = make(chan struct{})
	}
	quiet := w.mu.quiet
	w.quietLocked()
	w.mu.Unlock()
	select {
	case <-quiet:
		return nil
	default:
	}
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Close tells what is in flight as unknown and returns when Told is not called
// any more. Told must not call it.
func (w *Window) Close() { w.close() }

func (w *Window) close() {
	w.c.remove(w.id)
	w.mu.Lock()
	w.mu.closed = true
	if w.mu.armed && w.timer.Stop() {
		w.mu.armed = false
		w.work.Done()
	}
	w.mu.Unlock()
	w.work.Wait()
	for {
		w.mu.Lock()
		f := w.mu.first
		var n uint64
		if f != nil {
			n = f.n
		}
		w.mu.Unlock()
		if f == nil {
			break
		}
		w.end(f, n, Outcome{State: Unknown, Err: ErrClosed})
	}
	_ = w.Drain(context.Background()) // others may be telling
}

// Ack says where a message is stored.
type Ack struct {
	Stream    string
	Seq       uint64
	Duplicate bool // it was there before, under its message id
}

// Publish publishes one message and waits until it is stored. IsUnknown(err) tells
// whether it may be after an error.
func (c *Client) Publish(ctx context.Context, m *Outgoing) (Ack, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	w, err := c.window()
	if err != nil {
		return Ack{}, err
	}
	told := make(chan Outcome, 1)
	if err := w.publish(ctx, m, 0, told); err != nil {
		return Ack{}, err
	}
	select {
	case o := <-told:
		return Ack{o.Stream, o.Seq, o.Duplicate}, o.Err
	case <-ctx.Done():
		return Ack{}, ended(ctx)
	}
}

// singleWait is how long a window remembers what Publish sent, whose callers wait
// as long as their context says.
const singleWait = time.Minute

// window is that of Publish.
func (c *Client) window() (*Window, error) {
	c.mu.RLock()
	w, ok := c.mu.single.(*Window)
	c.mu.RUnlock()
	if ok {
		return w, nil
	}
	w, err := c.NewWindow(WindowOptions{Max: 1024, Wait: singleWait})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	first, taken := c.mu.single.(*Window)
	if !taken {
		c.mu.single = w
	}
	c.mu.Unlock()
	if taken {
		w.Close()
		return first, nil
	}
	return w, nil
}
