package leaf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

const (
	// A link is read in pieces of these sizes.
	readBytesMin = 2 << 10
	readBytesMax = 32 << 10
	// unsentBytes is how much the kernel may hold unsent.
	unsentBytes = 16 << 10
	// deadPath is after how long without a sign of life a link is given up.
	deadPath = 45 * time.Second
	// closeTimeout bounds the last write of a link that ends.
	closeTimeout = 100 * time.Millisecond
)

// peer is what the other side told of itself.
type peer struct {
	name    string // server name, or its id
	cluster string
	headers bool
	store   string // of its data folder, "" for none and for stock servers
	run     string // its server id
	side
}

// link is one connection to another server, on either side of the handshake's
// end. Its reader goroutine (run) parses and routes; its outbound buffer has a
// writer of its own.
type link struct {
	// Fixed before run.
	m         *Module
	id        uint64
	conn      net.Conn
	in        *bufio.Reader // behind TLS and compression
	heard     *heard        // in front of compression
	role      account.Role  // of the peer
	dialed    bool
	remote    *remote // the one that dialed, or nil
	isolated  bool
	account   *account.Account
	remoteAcc string // account at the other side, "" when not told
	user      string
	grant     *auth.Grant // nil for dialed ones
	peer      peer
	rules     *rules
	mode      string // negotiated compression
	compress  config.Compression
	log       *slog.Logger
	started   time.Time
	nonceRTT  time.Duration // handshake round trip, until pings measure

	out      *pending // see open
	pace     *pacer
	lifeline *lifeline     // nil without
	bounds   bounds        // what the peer takes
	shares   string        // who else has its domain, "" for nobody; set by add
	ponged   chan struct{} // holds one
	over     chan struct{} // closed when it has ended

	// Owned by the reader goroutine.
	origin *account.Origin
	part   inbound.Part            // of a message that is not whole
	subs   map[string]*account.Sub // changed under listing, for whoever else looks
	watch  *interest
	delay  time.Duration // the peer asked the dialer to stay away so long
	// replaced is set when the hub said that another link took the place of this
	// one.
	replaced bool

	listing   sync.Mutex
	pingTimer *time.Timer

	// Atomic; times are core.Ticks.
	end          atomic.Pointer[ending]
	pingWaits    atomic.Bool  // for the write under way
	pingAt       atomic.Int64 // of the ping that is out, 0 for none
	pingsOut     atomic.Int32
	rtt          atomic.Int64
	level        atomic.Pointer[string]
	numSubs      atomic.Int64
	inMsgs       atomic.Int64
	outMsgs      atomic.Int64
	inBytes      atomic.Int64
	outBytes     atomic.Int64
	lastActivity atomic.Int64
	unfits       atomic.Uint64 // messages that the peer does not take
	longest      sizes         // sent so far
}

// ending is why a link ends; the first reason counts.
type ending struct {
	reason wire.CloseReason
	err    error
}

// Role and Cluster are those of an account.Sink.
func (l *link) Role() account.Role { return l.role }

// Cluster is the cluster name of the peer.
func (l *link) Cluster() string { return l.peer.cluster }

// Deliver queues a message for the peer, if the rules let it through.
func (l *link) Deliver(_ *account.Sub, m *wire.Msg) bool {
	if !l.rules.sends(m.Subject) {
		return false
	}
	if why := l.bounds.stops(m); why != "" {
		l.unfit(m, why)
		return false
	}
	l.longest.note(m)
	l.rules.sent(m.Reply) // before the answer can come
	if !l.out.message(m, l.peer.headers) {
		return false
	}
	if m.Feeds && l.lifeline != nil {
		l.lifeline.sent(m)
	}
	l.outMsgs.Add(1)
	l.outBytes.Add(int64(len(m.Header) + len(m.Body)))
	return true
}

// open is called behind the handshake, before anything is queued.
func (l *link) open() {
	l.out = newPending(l.m.services.OutboundLinks(), l.m.services.Options().MaxPending, l.conn, l)
	l.pace = newPacer(l)
}

// Flush wakes the writer.
func (l *link) Flush() { l.out.flush() }

// run announces interest and works until the link ends. It returns why.
func (l *link) run() *ending {
	l.listing.Lock()
	l.subs = make(map[string]*account.Sub)
	l.listing.Unlock()
	l.origin = account.NewOrigin(l, l.role, l.peer.cluster)
	// The handshake is the first sign of life. Later it would look like one of a
	// peer that another link is waiting to see dead.
	l.heard.at.CompareAndSwap(0, core.Ticks(time.Now()))
	l.lastActivity.Store(l.heard.at.Load())
	tune(transport.Socket(l.conn), unsentBytes, deadPath)

	watch := newInterest(l)
	l.watch = watch
	cancel := l.account.Watch(watch)
	watch.announceAll(l.account.Mappings())

	l.pingTimer = time.AfterFunc(time.Hour, l.pingTick)
	l.pingTimer.Reset(firstPing) // who is called then finds the timer
	var beside sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	if l.lifeline != nil {
		beside.Go(func() { l.lifeline.run(ctx) })
	}
	l.read()
	l.fail(wire.ReasonClientClosed, nil) // if nobody said why before
	stop()
	l.pingTimer.Stop()
	l.out.buf.Wait()
	_ = l.conn.Close()
	beside.Wait()
	cancel()
	for _, s := range l.subs {
		l.account.Unsubscribe(s)
	}
	l.listing.Lock()
	defer l.listing.Unlock()
	l.subs = nil // publishers may still remember the link
	return l.end.Load()
}

// fail ends the link. The peer is told the text of err, when it has one.
func (l *link) fail(reason wire.CloseReason, err error) {
	if !l.end.CompareAndSwap(nil, &ending{reason, err}) {
		return
	}
	var we *wire.Error
	text := ""
	if errors.As(err, &we) {
		text = we.Text
	}
	l.out.fail(text, reason == wire.ReasonServerShutdown)
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // the reader wakes up
}

// HeldTooMuch is part of inbound.Owner.
func (l *link) HeldTooMuch() { l.fail(wire.ReasonStale, errPart) }

// errPart tells the peer what a NATS client is told.
var errPart = fmt.Errorf("%w: %w", inbound.ErrTooMuch, &wire.Error{Text: wire.ReasonStale.String(), Reason: wire.ReasonStale})

// Kick is part of core.Connection. The side that dialed dials again.
func (l *link) Kick() { l.fail(wire.ReasonKicked, nil) }

// say queues an error that does not end the link.
func (l *link) say(text string) {
	l.queueLine(func(b []byte) []byte { return wire.AppendErr(b, text) })
}

// queueLine queues a line that must not be lost. A peer that reads so slowly
// that not even these find room is cut off: it will ask for all of them again.
func (l *link) queueLine(add func([]byte) []byte) {
	if !l.out.line(add) {
		l.fail(wire.ReasonSlowPending, nil)
	}
}

func (l *link) read() {
	o := l.m.services.Options()
	l.part.Init(l.m.services.Inbound(), l)
	parser := wire.NewLeafParser(l, wire.Limits{MaxControlLine: o.MaxControlLine, MaxPayload: maxFromLink(o), Held: &l.part})
	defer parser.Drop()
	l.heard.slow = l.account.HalfRead
	in := input{link: l, plain: !compresses(l.mode), size: readBytesMin}
	for {
		b, err := in.next(parser.Partial())
		if len(b) > 0 {
			before := l.inMsgs.Load()
			perr := parser.Parse(b)
			l.origin.Flush()
			l.heard.parsed(parser.Partial(), l.inMsgs.Load() != before)
			if perr != nil {
				l.failParse(perr)
				return
			}
		}
		if err != nil {
			l.failRead(err)
			return
		}
	}
}

func (l *link) failParse(err error) {
	var we *wire.Error
	if errors.As(err, &we) {
		l.fail(we.Reason, err)
		return
	}
	l.fail(wire.ReasonParseError, err)
}

func (l *link) failRead(err error) {
	switch {
	case errors.Is(err, io.EOF):
		l.fail(wire.ReasonClientClosed, nil)
	case errors.Is(err, os.ErrDeadlineExceeded):
		// fail set the deadline and knows why.
	default:
		l.fail(wire.ReasonReadError, err)
	}
}

// Connect refuses a second one; the first was read by the handshake.
func (l *link) Connect([]byte) error { return wire.ErrUnknownOp }

// Info takes later news: the peers of the hub.
func (l *link) Info(args []byte) error {
	i, err := parseInfo(args)
	if err != nil {
		return err
	}
	if l.dialed && len(i.LeafURLs) > 0 {
		l.remote.learn(i.LeafURLs)
	}
	return nil
}

// Ping is answered ahead of everything that waits.
func (l *link) Ping() error {
	l.out.overtake("PONG\r\n")
	return nil
}

// Pong measures the round trip, and with it the compression to use.
func (l *link) Pong() error {
	l.pingsOut.Store(0)
	if l.out.pong() {
		l.lifeline.arrived()
		return nil
	}
	select {
	case l.ponged <- struct{}{}:
	default:
	}
	if at := l.pingAt.Swap(0); at > 0 {
		l.rtt.Store(core.Ticks(time.Now()) - at)
		if compresses(l.mode) {
			level := levelFor(l.compress, l.mode, time.Duration(l.rtt.Load()))
			l.level.Store(&level)
		}
	}
	return nil
}

// OK is never sent on links.
func (l *link) OK() error { return nil }

// Err is logged; some texts ask the dialer to stay away for a while.
func (l *link) Err(text []byte) error {
	s := string(text)
	l.log.Error("Leafnode error told by the peer", "err", s)
	l.learnBound(s)
	switch {
	case strings.Contains(s, "Loop detected"):
		l.delay = loopDelay
		return &wire.Error{Reason: wire.ReasonDuplicateLeaf}
	case l.dialed && strings.Contains(s, errDuplicate.Text):
		l.replaced = true
		l.log.Error("Another server took the place of this one at the hub: two of one name can not be linked. If its data is a copy of this one's, run frond identity new --data DIR on one of the two; else give one another server_name",
			"name", l.m.services.ServerName())
	case strings.Contains(s, "remote leafnode has same cluster name"), strings.Contains(s, textClone), strings.Contains(s, textDomain):
		l.delay = loopDelay
	case strings.Contains(s, "connection rejected since minimum version required"):
		l.delay = versionDelay
	}
	return nil
}

// LeafSub adds interest of the peer, or changes the weight of a group.
func (l *link) LeafSub(subj, queue []byte, weight int) error {
	if l.m.isLoop(l.account, subj) {
		l.delay = loopDelay
		return errLoop(l.account)
	}
	key := subKey(subj, queue)
	if s, ok := l.subs[key]; ok {
		if s.Queue != "" {
			l.account.SetWeight(s, int32(weight))
		}
		return nil
	}
	s := &account.Sub{Subject: string(subj), Queue: string(queue), Sink: l, Weight: int32(weight)}
	if !l.rules.accepts(s.Subject) {
		return &wire.Error{
			Text:   "Permissions Violation for Subscription to \"" + s.Subject + "\"",
			Reason: wire.ReasonProtocolViolation,
		}
	}
	if limit := l.m.services.Options().MaxSubs; limit > 0 && len(l.subs) >= limit {
		l.say("maximum subscriptions exceeded")
		return nil
	}
	l.watch.leads(s.Subject)
	if err := l.account.Subscribe(s); err != nil {
		l.say("Invalid Subscription")
		return nil
	}
	l.listing.Lock()
	l.subs[key] = s
	l.listing.Unlock()
	l.numSubs.Add(1)
	return nil
}

// LeafUnsub takes interest of the peer away. Unknown interest is ignored.
func (l *link) LeafUnsub(subj, queue []byte) error {
	key := subKey(subj, queue)
	if s, ok := l.subs[key]; ok {
		l.account.Unsubscribe(s)
		l.listing.Lock()
		delete(l.subs, key)
		l.listing.Unlock()
		l.numSubs.Add(-1)
	}
	return nil
}

func subKey(subj, queue []byte) string {
	if len(queue) == 0 {
		return string(subj)
	}
	return string(subj) + " " + string(queue)
}

// LeafMsg routes a message of the peer.
func (l *link) LeafMsg(m *wire.Msg) error {
	l.inMsgs.Add(1)
	l.inBytes.Add(int64(len(m.Header) + len(m.Body)))
	wire.SplitShown(m)
	switch l.rules.takes(m.Subject) {
	case drop:
		return nil
	case violation:
		return &wire.Error{
			Text:   "Permissions Violation for Publish to \"" + string(m.Subject) + "\"",
			Reason: wire.ReasonProtocolViolation,
		}
	}
	if wire.TraceOnly(m.Header) {
		return nil
	}
	l.account.Route(l.origin, m)
	return nil
}

var (
	_ account.Sink     = (*link)(nil)
	_ wire.LeafHandler = (*link)(nil)
)
