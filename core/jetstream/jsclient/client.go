package jsclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/wire"
)

// CallTimeout bounds a call whose context has no deadline.
const CallTimeout = 10 * time.Second

// Options of a Client.
type Options struct {
	// Domain of the JetStream that is meant, which links lead to; "" is the one
	// that answers on $JS.API in the account.
	Domain string
	// Local says that the engine is in this process, and that Domain is "":
	// publishes have receipts instead of answers.
	Local bool
}

// Client is JetStream as one account sees it.
type Client struct {
	bus   jetstream.Bus // which publishes as a program does, not as the server
	o     Options
	api   string // prefix of requests, as "$JS.API."
	inbox string // prefix of answers, ends with a dot

	pub publisher // of requests

	mu struct {
		sync.RWMutex
		closed   bool
		next     uint64
		handlers map[uint64]handler
		// direct says of streams that were asked about whether they allow direct
		// gets.
		direct map[string]bool
		// single is the Window of Publish, made when needed; as a handler, so that
		// builds in which nobody publishes have no windows.
		single handler
	}
	cancel []func() // of the interest; fixed by New
}

// handler takes answers. Both are called by whoever routes a message or changes
// interest, and must neither block nor publish nor subscribe.
type handler interface {
	// answered is given a message to inbox + id + "-" + n. It is borrowed.
	answered(n uint64, m *wire.Msg)
	// reachable is told that the way to the domain is there, or lost.
	reachable(yes bool)
	// close ends it, and waits until nothing of it runs.
	close()
}

// New makes a client. b is the account; what is published through it counts as a
// program's, so a stream may hold the caller up while its disk is behind. Close
// the client when it is done with.
func New(b jetstream.Bus, o Options) (*Client, error) {
	c := &Client{bus: b, o: o, api: "$JS.API.", inbox: "_INBOX.frond." + rand.Text() + "."}
	if o.Domain != "" {
		if strings.ContainsAny(o.Domain, " \t\r\n.*>") {
			return nil, fmt.Errorf("%q is not the name of a domain", o.Domain)
		}
		c.api = "$JS." + o.Domain + ".API."
		c.o.Local = false
	}
	if c.o.Local {
		// No link has to let it through, and who listens to all topics of MQTT does
		// not hear what begins with '$'.
		c.inbox = "$" + c.inbox
	}
	c.pub.p = b.Publisher()
	c.mu.handlers = make(map[uint64]handler)
	c.mu.direct = make(map[string]bool)
	cancel, err := b.Subscribe(c.inbox+"*", "", c.answered)
	if err != nil {
		return nil, err
	}
	c.cancel = append(c.cancel, cancel)
	if !c.o.Local {
		// What the far end is interested in is announced with its link.
		c.cancel = append(c.cancel, b.WatchInterest(c.api+"CONSUMER.CREATE.frond", c.reachable))
	}
	return c, nil
}

// Close ends all that was made of the client: calls that wait get ErrClosed, what
// is in flight in windows is told as unknown. It returns when nothing of the client
// runs any more; only what a publisher is held up for, it does not wait for.
func (c *Client) Close() {
	c.mu.Lock()
	c.mu.closed = true
	handlers := make([]handler, 0, len(c.mu.handlers))
	for _, h := range c.mu.handlers {
		handlers = append(handlers, h)
	}
	c.mu.Unlock()
	for _, h := range handlers {
		h.close()
	}
	for _, cancel := range c.cancel {
		cancel()
	}
	c.pub.close()
}

// add gives a handler its id.
func (c *Client) add(h handler) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return 0, ErrClosed
	}
	c.mu.next++
	c.mu.handlers[c.mu.next] = h
	return c.mu.next, nil
}

func (c *Client) remove(id uint64) {
	c.mu.Lock()
	delete(c.mu.handlers, id)
	c.mu.Unlock()
}

// answered gives an answer to whom it is for.
func (c *Client) answered(m *wire.Msg) {
	token, rest, _ := bytes.Cut(bytes.TrimPrefix(m.Subject, []byte(c.inbox)), []byte("-"))
	id, known := parseUint(token)
	n, ok := parseUint(rest)
	if !ok || !known {
		return
	}
	c.mu.RLock()
	h := c.mu.handlers[id]
	c.mu.RUnlock()
	if h != nil {
		h.answered(n, m)
	}
}

func (c *Client) reachable(yes bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, h := range c.mu.handlers {
		h.reachable(yes)
	}
}

// appendReply appends the subject of answers to a handler.
func (c *Client) appendReply(b []byte, id, n uint64) []byte {
	b = append(b, c.inbox...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, n, 10)
}

// parseUint reads a decimal number without allocating.
func parseUint(b []byte) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// publisher is a way into the account that several goroutines share. A stream may
// hold up who publishes, and so all of them.
type publisher struct {
	mu     sync.Mutex
	p      jetstream.Publisher
	closed bool
}

// publish sends m. n is how many took it.
func (p *publisher) publish(m *wire.Msg) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, ErrClosed
	}
	n = p.p.Publish(m)
	p.p.Flush()
	if n == 0 && m.Unfit != "" {
		return 0, fmt.Errorf("%w: %s", ErrBadMessage, m.Unfit)
	}
	return n, nil
}

func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
}

// call is a request that waits for answers.
type call struct {
	id   uint64        // fixed before it is sent
	done chan struct{} // closed with the last answer, or the error
	more bool          // the answer is several messages, and ends with a status

	mu      sync.Mutex
	ended   bool
	answers []answer
	err     error
}

type answer struct{ header, body []byte }

func (a *call) answered(_ uint64, m *wire.Msg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	a.answers = append(a.answers, answer{bytes.Clone(m.Header), bytes.Clone(m.Body)})
	if a.more {
		if code, _ := wire.HeaderStatus(m.Header); code == 0 {
			return
		}
	}
	a.ended = true
	close(a.done)
}

func (a *call) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.ended, a.err = true, err
		close(a.done)
	}
}

func (a *call) reachable(yes bool) {
	if !yes {
		a.fail(ErrLost)
	}
}

func (a *call) close() { a.fail(ErrClosed) }

// limited is ctx with a deadline.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, CallTimeout)
}

// ask sends a request to a subject and waits for its answer, or for all messages
// of it, the last of which is a status. ctx has a deadline.
func (c *Client) ask(ctx context.Context, subject string, body []byte, more bool) ([]answer, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	a, err := c.send(subject, body, more)
	if err != nil {
		return nil, err
	}
	defer c.remove(a.id)
	return a.wait(ctx)
}

// send sends a request. The caller removes the call's id when it waits no more.
func (c *Client) send(subject string, body []byte, more bool) (*call, error) {
	a := &call{done: make(chan struct{}), more: more}
	var err error
	if a.id, err = c.add(a); err != nil {
		return nil, err
	}
	n, err := c.pub.publish(&wire.Msg{Subject: []byte(subject), Reply: c.appendReply(nil, a.id, 0), Body: body})
	if err == nil && n == 0 {
		err = ErrNoResponders
	}
	if err != nil {
		c.remove(a.id)
	}
	return a, err
}

// wait waits for the answer.
func (a *call) wait(ctx context.Context) ([]answer, error) {
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	if code, _ := wire.HeaderStatus(a.answers[0].header); code == 503 && len(a.answers[0].body) == 0 {
		return nil, ErrNoResponders
	}
	return a.answers, nil
}

// request asks the API: verb is what follows its prefix, in what goes with it as
// JSON, nil for nothing. The answer is read into out.
func (c *Client) request(ctx context.Context, verb string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	answers, err := c.ask(ctx, c.api+verb, body, false)
	if err == nil {
		err = readAnswer(answers[0].body, out)
	}
	if err != nil {
		return fmt.Errorf("%s%s: %w", c.api, verb, err)
	}
	return nil
}

// readAnswer reads an answer of the API; one that says an error is that error.
func readAnswer(body []byte, out any) error {
	var head struct {
		Error *APIError `json:"error"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return fmt.Errorf("answer of JetStream: %w", err)
	}
	if head.Error != nil {
		return wrongLast(head.Error)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("answer of JetStream: %w", err)
	}
	return nil
}

// checkName refuses what would make another subject of a request.
func checkName(what, name string) error {
	if name == "" || strings.ContainsAny(name, " \t\r\n.*>/\\") {
		return fmt.Errorf("%q can not be the name of a %s", name, what)
	}
	return nil
}
