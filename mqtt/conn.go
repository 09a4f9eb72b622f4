package mqtt

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/inbound"
	"github.com/frondmq/frond/core/outbound"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/core/wire"
)

// readBytes is the read buffer of a connection; larger packets borrow a buffer.
const readBytes = 2 << 10

// conn is one client. Its reader goroutine (serve) decodes packets and routes
// what is published; its outbound buffer has a writer of its own.
type conn struct {
	// Fixed once the client is connected.
	m         *Module
	o         *config.Options // those that held when it began
	at        *listener       // by which it came; nil for a Unix socket
	web       *core.Upgraded  // nil but over a WebSocket
	id        uint64
	nc        net.Conn
	started   time.Time
	version   byte
	older     bool // MQTT 3.1, which has version v311
	bridge    bool // see bridgeBit
	codesOnly bool // it wants to be told no reasons [MQTT-3.1.2.11.7]
	clientID  string
	claims    string // the user of a CONNECT that is not let in yet
	listed    bool   // among the connections
	grant     *auth.Grant
	replies   *subject.ResponseTracker // nil: being asked gives no rights
	account   *account.Account
	keepAlive time.Duration // 0 for none
	// maxPayload is that of the server, or of the account if that is lower.
	maxPayload int
	maxPacket  int // the client's limit, 0 for none

	out   *outbound.Buffer
	acks  *acks
	ended chan struct{} // closed by fail
	leave func()        // called when all is over

	// Owned by the reader goroutine.
	frames  framer
	part    inbound.Part // of a packet that is not whole
	reading bool         // deadlines and flushes are those of a connected client
	awake   bool         // packets come, or came a moment ago
	// first was read by who waited for it.
	first      byte
	hasFirst   bool
	subs       map[string]*subscription
	will       *will
	*publisher         // nil before the first PUBLISH: many devices only listen
	line       []byte  // names a line of the log
	replay     *replay // nil before the first subscription that has one
	kept       *kept   // fixed behind the CONNECT; nil: the session ends with the connection

	// Guarded by the lock of out.
	welcomed           bool // the CONNACK was queued
	window             window
	topic, props, head []byte
	aliasesOut         *aliasesOut // nil: the client takes none

	once sync.Once
	end  error // why; written once before ended is closed

	slow     atomic.Bool
	lastSeen atomic.Int64 // core.Ticks
	numSubs  atomic.Int64
	inMsgs   atomic.Int64
	outMsgs  atomic.Int64
	inBytes  atomic.Int64
	outBytes atomic.Int64
	// Of all packets; answers are those that go out and are no PUBLISH.
	packetsIn atomic.Int64
	wireIn    atomic.Int64
	answers   atomic.Int64
	drops     drops
	outlived  atomic.Bool // its session outlives the connection
	// heir is told when willGone is set: whoever has taken the client identifier over.
	heir     atomic.Pointer[chan struct{}]
	subsLock sync.Mutex // of what the reader writes to subs, and others read
	willGone atomic.Bool
}

// publisher is what a client needs that publishes. It is owned by the reader.
type publisher struct {
	origin  *account.Origin
	aliases *aliasesIn // nil before the first one
	msg     wire.Msg
	subject []byte
	reply   []byte
	header  []byte
}

var (
	errEnded      = errors.New("client closed the connection")
	errDisconnect = errors.New("client disconnected") // with a DISCONNECT
	errSlow       = &failure{packets.ErrQuotaExceeded, errors.New("slow consumer: too much is waiting to be written")}
	errPart       = &failure{packets.ErrQuotaExceeded, inbound.ErrTooMuch}
	errTakenOver  = &failure{packets.ErrSessionTakenOver, errors.New("the client connected again")}
	errKicked     = &failure{packets.ErrAdministrativeAction, errors.New("an operator ended the connection")}
	errRevoked    = &failure{packets.ErrNotAuthorized, errors.New("the user is gone, or has another password or other rights")}
	errTooMany    = &failure{packets.ErrQuotaExceeded, errors.New("maximum connections exceeded")}
	errShutdown   = &failure{packets.ErrServerShuttingDown, errors.New("server shutdown")}
)

// serve is the first goroutine of a client: its CONNECT.
func (c *conn) serve() {
	// Behind it Stop finds the connection among the others.
	stop := context.AfterFunc(c.m.ctx, func() { c.fail(errShutdown) })
	err := c.connect()
	stop()
	if err != nil {
		c.logRefusal(err)
		if c.web == nil {
			_ = c.nc.Close()
		}
		c.out.End(0, nil) // somebody may have said goodbye
		c.out.Wait()
		c.leaveWebSocket(c.refusedReason(err))
		c.frames.drop()
		if !c.listed {
			c.m.services.Connections().Refused(c, c.refusedReason(err))
		}
		c.leave()
		return
	}
	if c.m.ctx.Err() != nil {
		c.fail(errShutdown)
	}
	go c.work(true) // on a stack that no handshake has made large
}

// work is the reader goroutine, up to a silence: then there is a new one, without
// a buffer. By false the silence is there already, which the next byte ends.
func (c *conn) work(awake bool) {
	if c.frames.in == nil {
		c.frames.in = c.m.reader(c)
	}
	err := c.read(awake)
	if err == errRest {
		c.m.giveBack(c.frames.in)
		c.frames.in = nil
		c.m.services.Connections().Rested()
		go c.resume()
		return
	}
	c.finish(err)
}

// reader lends a buffer for c. Neither it nor giveBack is inlined, see framer.wait.
//
//go:noinline
func (m *Module) reader(c *conn) *bufio.Reader {
	if r, ok := m.readers.Get().(*bufio.Reader); ok {
		r.Reset(socket{c})
		return r
	}
	return bufio.NewReaderSize(socket{c}, readBytes)
}

//go:noinline
func (m *Module) giveBack(r *bufio.Reader) {
	r.Reset(nil)
	m.readers.Put(r)
}

// resume waits for what ends a silence.
func (c *conn) resume() {
	b, ok, err := transport.FirstByte(c.nc)
	if err != nil {
		c.finish(c.ending(err))
		return
	}
	c.first, c.hasFirst = b, ok
	c.work(ok)
}

var errRest = errors.New("nothing came for a while")

// connect does the handshake. The answer is the first that is queued, before
// anything can be delivered.
func (c *conn) connect() error {
	o := c.o
	patience := o.MQTT.Auth.AuthTimeout(o.MQTT.TLS)
	if c.at != nil {
		patience = c.at.auth
	}
	if err := c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	select {
	case <-c.ended:
		return errShutdown
	default:
	}
	c.packetsIn.Add(1)
	c.frames = framer{in: c.m.reader(c), limit: min(o.MaxPayload, maxConnect), pool: &c.m.readBuffers, held: &c.part}
	pk, willProperties, err := c.readConnect()
	assigned := err == nil && c.clientID == ""
	if assigned {
		c.clientID = newClientID() // permissions may hold it
	}
	if err == nil {
		err = c.authenticate(pk)
	}
	if err == nil {
		err = c.prepareWill(pk, willProperties)
	}
	if err != nil {
		select {
		case <-c.ended:
			err = c.end
		default:
		}
		c.turnAway(err)
		return err
	}
	c.frames.limit = c.maxPayload + maxTopicExtra
	// MQTT 5 clients know the limit, and are told when they break it.
	c.frames.skim = c.version == v311
	alive := c.keepAliveOf(pk)
	c.keepAlive = alive * 3 / 2 // [MQTT-3.1.2-22]
	limit := int(pk.Properties.ReceiveMaximum)
	if limit == 0 {
		limit = 65535 // what the protocol assumes [MQTT-3.1.2.11.3]
	}
	c.window = newWindow(min(limit, o.MQTT.MaxAckPending), c.out)
	c.aliasesOut = newAliasesOut(pk.Properties.TopicAliasMaximum)
	c.subs = make(map[string]*subscription)
	if !c.m.holdBack(c) {
		return errEnded
	}
	if err := c.m.refuses(c); err != nil {
		c.turnAway(err)
		return err
	}
	if old := c.m.add(c); old != nil {
		old.fail(errTakenOver) // [MQTT-3.1.4-3]
		old.awaitWill()
	}
	if err := c.letIn(pk, assigned); err != nil {
		c.leftWill()
		c.kept.stop()
		c.kept.detach()
		c.m.remove(c)
		return err
	}
	c.renew() // a reload before may not have found it
	if c.kept != nil {
		c.kept.restore()
		c.kept.start()
	}
	c.out.WriteNow()
	c.logStart(alive)
	return nil
}

// letIn gives the client its session and the CONNACK.
func (c *conn) letIn(pk *packets.Packet, assigned bool) error {
	if err := c.openSession(pk); err != nil {
		select {
		case <-c.ended:
			return c.end
		default:
		}
		c.turnAway(err)
		return err
	}
	c.m.delayed.back(c)
	answer, err := c.connack(pk, assigned)
	if err == nil {
		err = c.nc.SetDeadline(time.Time{})
	}
	if err == nil {
		err = c.welcome(answer)
	}
	return err
}

// welcome queues the CONNACK. The error is why the connection has ended before: a
// DISCONNECT would have no CONNACK in front of it [MQTT-3.14.0-1].
func (c *conn) welcome(answer []byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	if !c.out.OpenLocked() {
		return c.end
	}
	c.out.WriteLocked(answer)
	c.answers.Add(1)
	c.welcomed = true
	return nil
}

// turnAway tells the client why it is not let in, where the protocol has a word
// for it, and not at once if it comes again and again. What passes by itself has
// no answer: some clients never come back after one.
func (c *conn) turnAway(err error) {
	var r *refusal
	var f *failure
	var code packets.Code // of the codec
	isRefusal, isFailure := errors.As(err, &r), errors.As(err, &f)
	if errors.Is(err, errShutdown) || !isRefusal && !isFailure && !errors.As(err, &code) {
		return
	}
	if !c.m.turned.hold(transport.Host(c.nc.RemoteAddr()), c.ended) {
		return
	}
	if !isRefusal {
		if !isFailure || c.version != v5 {
			return
		}
		r = &refusal{code: f.code, reason: err}
	}
	b, err := c.refused(r)
	if err != nil {
		return
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(farewell))
	_, _ = c.nc.Write(b)
}

// fail ends the connection; the first reason counts.
func (c *conn) fail(err error) {
	c.once.Do(func() {
		c.end = err
		close(c.ended)
		c.out.Lock()
		if c.welcomed && c.out.OpenLocked() {
			if b := c.goodbye(err); b != nil {
				c.out.WriteLocked(b)
				c.answers.Add(1)
			}
		}
		c.out.EndLocked(farewell)
		c.out.Unlock()
		// Whoever moves this deadline looks at ended afterwards.
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	})
}

// leaveWebSocket says goodbye in the words of a WebSocket, for the goroutine that reads,
// when nobody writes any more.
func (c *conn) leaveWebSocket(why wire.CloseReason) {
	if c.web != nil {
		core.Goodbye(c.nc, why)
		_ = c.nc.Close()
	}
}

// Kick is part of core.Connection. The will is left: the client did not go on its
// own word.
func (c *conn) Kick() { c.fail(errKicked) }

// HeldTooMuch is part of inbound.Owner.
func (c *conn) HeldTooMuch() { c.fail(errPart) }

// goodbye is the DISCONNECT that an MQTT 5 client is told a failure with.
func (c *conn) goodbye(err error) []byte {
	var f *failure
	var code packets.Code
	switch {
	case c.version != v5:
		return nil
	case errors.As(err, &f):
		code = f.code
	case errors.As(err, &code) && code.Code >= 0x80:
	case errors.Is(err, os.ErrDeadlineExceeded):
		code = packets.ErrKeepAliveTimeout
	default:
		return nil
	}
	pk := &packets.Packet{
		ProtocolVersion: v5, ReasonCode: code.Code,
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect},
	}
	b, err := c.encodeWithReason(pk, c.reasonText(toldEnd(code.Code, err)), pk.DisconnectEncode)
	if err != nil {
		return nil
	}
	return b
}

// finish is the end of a connected client: it takes its interest away and leaves
// its will. It is not inlined where readers wait, see framer.wait.
//
//go:noinline
func (c *conn) finish(err error) {
	c.fail(err)
	c.replay.stop()
	c.kept.stop()
	for _, s := range c.subs {
		s.end()
	}
	c.leaveWill()
	c.leftWill()
	if c.publisher != nil {
		c.origin.Flush()
	}
	// Publishers may still remember the connection by a subscription.
	c.frames.drop()
	c.publisher = nil
	c.out.Lock() // closed: nothing is delivered any more
	c.out.AsideLocked(-c.window.queued.Size())
	c.window.queued.Drop()
	c.window, c.topic, c.props, c.head, c.aliasesOut = window{}, nil, nil, nil, nil
	c.out.Unlock()
	if c.kept != nil {
		c.acks.settle() // what the disk has not got yet is the session's
	}
	c.kept.detach() // whoever has taken over waits for that
	c.out.Wait()
	c.leaveWebSocket(c.closedReason())
	c.m.remove(c)
	c.logEnd()
	_ = c.nc.Close()
	c.leave()
}

// read handles packets until the connection ends, or is silent.
func (c *conn) read(awake bool) error {
	c.reading, c.awake = true, awake
	if awake {
		if err := c.lookIn(transport.RestAfter); err != nil {
			return err
		}
	}
	for {
		if err := c.frames.wait(); err != nil {
			return c.ending(err)
		}
		f, err := c.frames.next()
		if err != nil {
			return c.ending(err)
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// ending is what an error of reading means.
func (c *conn) ending(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	return err
}

func (c *conn) handle(f frame) error {
	c.packetsIn.Add(1)
	c.oldFlags(&f)
	if err := checkFlags(&f); err != nil {
		return err
	}
	switch f.kind() {
	case packets.Publish:
		return c.publish(f)
	case packets.Puback:
		return c.puback(f)
	case packets.Pubrel, packets.Pubrec, packets.Pubcomp:
		return c.exactly(f)
	case packets.Subscribe:
		return c.subscribe(f)
	case packets.Unsubscribe:
		return c.unsubscribe(f)
	case packets.Pingreq:
		if len(f.body) > 0 {
			return fail(errMalformed, "PINGREQ of %d bytes", len(f.body)) // [MQTT-4.13.1-1]
		}
		return c.say(pingResponse)
	case packets.Disconnect:
		return c.disconnect(f)
	case packets.Connect:
		return fail(packets.ErrProtocolViolationSecondConnect, "second CONNECT") // [MQTT-3.1.0-2]
	}
	return fail(errProtocol, "AUTH without an authentication method") // [MQTT-4.12.0-6]
}

var pingResponse = []byte{packets.Pingresp << 4, 0}

// tooSlow ends a connection whose client does not read what it asks for.
func (c *conn) tooSlow() {
	c.slow.Store(true)
	c.fail(errSlow)
}

// identifier is that of a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *conn) identifier(f frame) (uint16, error) {
	if len(f.body) < 2 || c.version == v311 && len(f.body) != 2 {
		return 0, fail(errMalformed, "packet type %d of %d bytes", f.kind(), len(f.body))
	}
	id := binary.BigEndian.Uint16(f.body)
	if id == 0 {
		return 0, fail(errProtocol, "packet identifier 0")
	}
	return id, checkReason(f.body[2:], ackProperties)
}

// disconnect ends the connection on the client's word. Only the plain form
// discards the will [MQTT-3.14.4-3]; with another reason it is left, whether
// the client asked for that or reports a failure [MQTT-3.1.2-8].
func (c *conn) disconnect(f frame) error {
	code := byte(0)
	if c.version == v5 && len(f.body) > 0 {
		if err := checkReason(f.body, disconnectProperties); err != nil {
			return err
		}
		code = f.body[0]
	} else if c.version == v311 && len(f.body) != 0 {
		return fail(errMalformed, "DISCONNECT of %d bytes", len(f.body))
	}
	if err := c.changeExpiry(f.body); err != nil {
		return err
	}
	if code != packets.CodeSuccess.Code {
		return errEnded
	}
	c.will = nil
	return errDisconnect
}

var _ account.Sink = (*subscription)(nil)
