package mqttconf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"time"
)

// Client is a connection of a check. Messages that come are acknowledged at once,
// and put into an inbox while something else is waited for.
type Client struct {
	x     *Exam
	nc    net.Conn
	in    *bufio.Reader
	id    uint16
	inbox []message
	// manual leaves the acknowledgement of messages to the check.
	manual bool
	// connack and given are the answer to CONNECT.
	connack packet
	given   []property
}

// message is a PUBLISH that came.
type message struct {
	topic, payload string
	qos            byte
	dup, retain    bool
	id             uint16
	props          []property
	first          byte
	size           int
}

func newClient(x *Exam, nc net.Conn) *Client {
	return &Client{x: x, nc: nc, in: bufio.NewReader(nc)}
}

// login is what a CONNECT says.
type login struct {
	name      string
	clean     bool
	keepAlive int
	props     [][]byte
	will      *will
	user      *string
	password  *string
}

type will struct {
	topic, payload string
	qos            byte
	retain         bool
	props          [][]byte
}

// Flags of CONNECT.
const (
	flagReserved   = 0x01
	flagClean      = 0x02
	flagWill       = 0x04
	flagWillQoS    = 0x08 // times the QoS
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUser       = 0x80
)

// encode is the CONNECT of that protocol level.
func (l *login) encode(version byte) []byte {
	flags, fields := byte(0), text(l.name)
	if l.clean {
		flags |= flagClean
	}
	if w := l.will; w != nil {
		flags |= flagWill | w.qos*flagWillQoS
		if w.retain {
			flags |= flagWillRetain
		}
		if version == v5 {
			fields = join(fields, block(w.props...))
		}
		fields = join(fields, text(w.topic), text(w.payload))
	}
	if l.user != nil {
		flags |= flagUser
		fields = join(fields, text(*l.user))
	}
	if l.password != nil {
		flags |= flagPassword
		fields = join(fields, text(*l.password))
	}
	return rawConnect("MQTT", version, flags, l.keepAlive, l.props, fields)
}

// rawConnect is a CONNECT of parts that need not fit together.
func rawConnect(protocol string, version, flags byte, keepAlive int, props [][]byte, fields ...[]byte) []byte {
	head := join(text(protocol), []byte{version, flags}, short(keepAlive))
	if version == v5 {
		head = join(head, block(props...))
	}
	return frame(tConnect<<4, append([][]byte{head}, fields...)...)
}

// connect is a client that is let in, with a new session that ends with the
// connection unless change says otherwise.
func (x *Exam) connect(change ...func(*login)) *Client {
	l := &login{name: x.name(), clean: true}
	for _, f := range change {
		f(l)
	}
	c := x.dial()
	c.send(l.encode(x.version))
	c.welcomed()
	return c
}

func withWill(w will) func(*login)       { return func(l *login) { l.will = &w } }
func withProps(p ...[]byte) func(*login) { return func(l *login) { l.props = append(l.props, p...) } }
func withName(name string) func(*login)  { return func(l *login) { l.name = name } }
func withKeepAlive(s int) func(*login)   { return func(l *login) { l.keepAlive = s } }
func withUser(user, pw string) func(*login) {
	return func(l *login) { l.user, l.password = &user, &pw }
}

// welcomed reads the CONNACK and differs when it is no welcome.
func (c *Client) welcomed() {
	c.readConnack()
	if code := c.connack.body[1]; code != 0 {
		c.x.Differ("CONNACK %#x instead of 0", code)
	}
}

func (c *Client) readConnack() {
	c.connack = c.expect(tConnack)
	if len(c.connack.body) < 2 {
		c.x.Differ("CONNACK of %d bytes", len(c.connack.body))
	}
	if c.x.version == v5 && len(c.connack.body) > 2 {
		c.given = c.properties(c.connack, 2)
	}
}

// present is the flag Session Present.
func (c *Client) present() bool { return c.connack.body[0]&1 != 0 }

// properties are those of a packet, from that byte of its body on.
func (c *Client) properties(p packet, from int) []property {
	if c.x.version != v5 || len(p.body) <= from {
		return nil
	}
	props, _, err := cutProperties(p.kind(), p.body[from:])
	if err != nil {
		c.x.Differ("%v", err)
	}
	return props
}

// send writes bytes. That a server has closed the connection is seen by who reads.
func (c *Client) send(parts ...[]byte) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.x.patience()))
	_, _ = c.nc.Write(join(parts...))
}

// errGone is the end of the connection.
var errGone = errors.New("closed")

// read reads one packet, whatever it is.
func (c *Client) read() (packet, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.x.patience()))
	p, err := readPacket(c.in)
	switch {
	case err == nil, errors.Is(err, errForm), errors.Is(err, os.ErrDeadlineExceeded):
		return p, err
	}
	return p, errGone // by the end of the stream, or by a reset
}

// step reads one packet and does what is due: a message goes into the inbox.
func (c *Client) step(what string) packet {
	p, err := c.read()
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.x.Differ("%s does not come", what)
	case errors.Is(err, errGone):
		c.x.Differ("the connection is closed, instead of %s", what)
	default:
		c.x.Differ("%v", err)
	}
	switch p.kind() {
	case tPublish:
		m := c.parse(p)
		if !c.manual {
			c.acknowledge(m)
		}
		c.inbox = append(c.inbox, m)
	case tPubrel:
		if !c.manual {
			c.send(frame(tPubcomp<<4, p.body[:2]))
		}
	}
	return p
}

// acknowledge is the PUBACK or PUBREC of a message.
func (c *Client) acknowledge(m message) {
	switch m.qos {
	case 1:
		c.send(frame(tPuback<<4, short(int(m.id))))
	case 2:
		c.send(frame(tPubrec<<4, short(int(m.id))))
	}
}

func (c *Client) parse(p packet) message {
	m := message{first: p.first, size: p.size, qos: p.first >> 1 & 3, dup: p.first&8 != 0, retain: p.first&1 != 0}
	topic, rest, err := cutText(p.body)
	if err == nil && m.qos > 0 {
		var id []byte
		if id, rest, err = cut(rest, 2); err == nil {
			m.id = binary.BigEndian.Uint16(id)
		}
	}
	if err == nil && c.x.version == v5 {
		m.props, rest, err = cutProperties(tPublish, rest)
	}
	switch {
	case err != nil:
		c.x.Differ("%v", err)
	case m.qos == 3:
		c.x.Differ("a message with QoS 3")
	case m.qos > 0 && m.id == 0:
		c.x.Differ("a message with the packet identifier 0")
	case !wellFormed(topic):
		c.x.Differ("a topic that is no text")
	}
	m.topic, m.payload = string(topic), string(rest)
	return m
}

// expect reads up to a packet of that type: messages and the handshake of QoS 2 may
// come before it.
func (c *Client) expect(kind byte) packet {
	for {
		p := c.step(typeName(kind))
		switch {
		case p.kind() == kind:
			return p
		case p.kind() == tPublish, p.kind() == tPubrel && !c.manual:
		case p.kind() == tDisconnect && len(p.body) > 0:
			c.x.Differ("DISCONNECT %#x instead of %s", p.body[0], typeName(kind))
		default:
			c.x.Differ("%s instead of %s", typeName(p.kind()), typeName(kind))
		}
	}
}

// next is the next message.
func (c *Client) next(what string) message {
	for len(c.inbox) == 0 {
		if p := c.step(what); p.kind() != tPublish && p.kind() != tPubrel {
			c.x.Differ("%s instead of %s", typeName(p.kind()), what)
		}
	}
	m := c.inbox[0]
	c.inbox = c.inbox[1:]
	return m
}

// upTo gives the messages that come before the one with that payload.
func (c *Client) upTo(marker string) (before []message) {
	for {
		m := c.next("a message")
		if m.payload == marker {
			return before
		}
		before = append(before, m)
	}
}

// ping differs unless the server answers one.
func (c *Client) ping() {
	c.send(frame(tPingreq << 4))
	c.expect(tPingresp)
}

func (c *Client) newID() int {
	if c.id++; c.id == 0 {
		c.id++
	}
	return int(c.id)
}

// filter is one of a SUBSCRIBE, with its options.
type filter struct {
	name    string
	options byte
}

// Options of a subscription, beside its QoS.
const (
	noLocal     = 0x04
	asPublished = 0x08
	retainOnce  = 0x10 // only of a new subscription
	retainNever = 0x20
)

// subscribeBytes is a SUBSCRIBE.
func (c *Client) subscribeBytes(id int, props [][]byte, filters ...filter) []byte {
	parts := [][]byte{short(id)}
	if c.x.version == v5 {
		parts = append(parts, block(props...))
	}
	for _, f := range filters {
		parts = append(parts, text(f.name), []byte{f.options})
	}
	return frame(tSubscribe<<4|2, parts...)
}

// subscribes makes subscriptions and gives the codes of the answer.
func (c *Client) subscribes(filters ...filter) []byte {
	return c.subscribed(c.subscribeBytes(c.newID(), nil, filters...))
}

// subscribed sends a SUBSCRIBE with the identifier c.id.
func (c *Client) subscribed(packet []byte) []byte {
	c.send(packet)
	return c.answered(tSuback)
}

// answered reads a SUBACK or UNSUBACK for c.id, and gives its codes.
func (c *Client) answered(kind byte) []byte {
	p := c.expect(kind)
	id, rest, err := cut(p.body, 2)
	if err == nil && c.x.version == v5 {
		_, rest, err = cutProperties(kind, rest)
	}
	if err != nil {
		c.x.Differ("%v", err)
	}
	if binary.BigEndian.Uint16(id) != c.id {
		c.x.Differ("%s with another packet identifier", typeName(kind))
	}
	return rest
}

// subscribe makes one subscription, which has to be granted with that QoS.
func (c *Client) subscribe(name string, options byte) {
	codes := c.subscribes(filter{name, options})
	switch {
	case len(codes) != 1:
		c.x.Differ("SUBACK has %d codes for one filter", len(codes))
	case codes[0] >= 0x80:
		c.x.Differ("a subscription is refused with %#x", codes[0])
	case codes[0] < options&3:
		c.x.Differ("not built: a subscription with QoS %d is granted QoS %d", options&3, codes[0])
	case codes[0] > options&3:
		c.x.Differ("a subscription with QoS %d is granted QoS %d", options&3, codes[0])
	}
}

// unsubscribes takes filters away and gives the codes of the answer.
func (c *Client) unsubscribes(names ...string) []byte {
	parts := [][]byte{short(c.newID())}
	if c.x.version == v5 {
		parts = append(parts, block())
	}
	for _, n := range names {
		parts = append(parts, text(n))
	}
	c.send(frame(tUnsubscribe<<4|2, parts...))
	return c.answered(tUnsuback)
}

// publication is a PUBLISH to send.
type publication struct {
	topic, payload string
	qos            byte
	retain, dup    bool
	id             int // 0: the next one
	props          [][]byte
}

func (c *Client) publishBytes(p publication) []byte {
	first := byte(tPublish<<4) | p.qos<<1
	if p.retain {
		first |= 1
	}
	if p.dup {
		first |= 8
	}
	parts := [][]byte{text(p.topic)}
	if p.qos > 0 {
		parts = append(parts, short(p.id))
	}
	if c.x.version == v5 {
		parts = append(parts, block(p.props...))
	}
	return frame(first, append(parts, []byte(p.payload))...)
}

// publish sends a message, sees its handshake through and gives the first code of it.
func (c *Client) publish(p publication) byte {
	if p.id == 0 && p.qos > 0 {
		p.id = c.newID()
	}
	c.send(c.publishBytes(p))
	switch p.qos {
	case 1:
		return c.acked(tPuback, p.id)
	case 2:
		code := c.acked(tPubrec, p.id)
		if code < 0x80 {
			c.send(frame(tPubrel<<4|2, short(p.id)))
			c.acked(tPubcomp, p.id)
		}
		return code
	}
	return 0
}

// say publishes with QoS 0.
func (c *Client) say(topic, payload string) { c.publish(publication{topic: topic, payload: payload}) }

// acked reads an acknowledgement and gives its code.
func (c *Client) acked(kind byte, id int) byte {
	p := c.expect(kind)
	switch {
	case len(p.body) < 2 || c.x.version != v5 && len(p.body) != 2:
		c.x.Differ("%s of %d bytes", typeName(kind), len(p.body))
	case int(binary.BigEndian.Uint16(p.body)) != id:
		c.x.Differ("%s with another packet identifier", typeName(kind))
	case len(p.body) == 2:
		return 0
	}
	c.properties(p, 3)
	return p.body[2]
}

// leave ends the connection with a DISCONNECT and waits until the server has.
func (c *Client) leave(body ...byte) {
	c.send(frame(tDisconnect<<4, body))
	c.ends("a DISCONNECT")
}

// drop ends the connection without a word.
func (c *Client) drop() { c.nc.Close() }

// ends differs unless the server ends the connection now, and gives the packets
// that come before that, without messages.
func (c *Client) ends(behind string) (said []packet) {
	for {
		p, err := c.read()
		switch {
		case errors.Is(err, errGone):
			return said
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.x.Differ("the connection stays open behind %s", behind)
		case err != nil:
			c.x.Differ("%v", err)
		case p.kind() == tPingresp:
			c.x.Differ("the connection goes on behind %s", behind)
		case p.kind() == tPublish:
			c.inbox = append(c.inbox, c.parse(p))
		default:
			said = append(said, p)
		}
	}
}

// rejects sends what has to end the connection. A PINGREQ behind it tells at once
// when it does not. It gives the reason of the DISCONNECT, -1 without one.
func (c *Client) rejects(what string, parts ...[]byte) int {
	c.send(join(parts...), frame(tPingreq<<4))
	for _, p := range c.ends(what) {
		if p.kind() == tDisconnect {
			if c.x.version != v5 {
				c.x.Differ("a DISCONNECT from the server, which MQTT 3.1.1 does not have")
			}
			c.properties(p, 1)
			if len(p.body) == 0 {
				return 0
			}
			return int(p.body[0])
		}
	}
	return -1
}

// refusesConnect differs unless that CONNECT ends in no connection. It gives the
// CONNACK, if there was one.
func (x *Exam) refusesConnect(what string, connect []byte, behind ...[]byte) (connack []byte) {
	c := x.dial()
	c.send(connect, join(behind...), frame(tPingreq<<4))
	p, err := c.read()
	switch {
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.Differ("the connection stays open behind %s", what)
	case err != nil:
		x.Differ("%v", err)
	case p.kind() != tConnack || len(p.body) < 2:
		x.Differ("%s instead of CONNACK", typeName(p.kind()))
	case p.body[1] == 0:
		x.Differ("a client is let in with %s", what)
	}
	for _, more := range c.ends(what) {
		x.Differ("%s behind a CONNACK that refuses", typeName(more.kind()))
	}
	c.properties(p, 2)
	return slices.Clip(p.body)
}
