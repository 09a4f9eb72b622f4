package mqttconf

import (
	"encoding/binary"
	"time"
)

const second = time.Second

// heard is a listener to the topic "a" and a client that publishes there.
func heard(x *Exam, qos byte, change ...func(*login)) (listener, p *Client) {
	listener = x.connect(change...)
	listener.subscribe(x.topic("a"), qos)
	return listener, x.connect()
}

// plainQoS0 is how QoS 0 comes: no identifier, no DUP.
func plainQoS0(x *Exam) {
	listener, p := heard(x, 1)
	p.say(x.topic("a"), "plain")
	if m := listener.next("a message"); m.qos != 0 || m.dup || m.payload != "plain" {
		x.Differ("a message with QoS 0 is not delivered as one")
	}
	// Of a message that was sent again with QoS 1, to a subscription with QoS 0.
	listener, p = heard(x, 0)
	p.publish(publication{topic: x.topic("a"), payload: "again", qos: 1, dup: true})
	if m := listener.next("a message"); m.qos != 0 || m.dup {
		x.Differ("DUP in a message with QoS 0")
	}
}

// noIdentifierInQoS0: behind the topic there are properties and payload only.
func noIdentifierInQoS0(x *Exam) {
	listener, p := heard(x, 0)
	p.say(x.topic("a"), "\x00\x07payload")
	m := listener.next("a message")
	if m.payload != "\x00\x07payload" {
		x.Differ("a message with QoS 0 has more or less than its payload")
	}
}

// dupOfItsOwn: that of the publisher is not passed on.
func dupOfItsOwn(x *Exam) {
	listener, p := heard(x, 1)
	p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, dup: true})
	if m := listener.next("a message"); m.dup {
		x.Differ("DUP of the publisher is passed on")
	}
}

// answersByQoS: none, PUBACK, and PUBREC with PUBCOMP, and the messages are delivered.
func answersByQoS(x *Exam) {
	listener, p := heard(x, 1)
	for qos, payload := range []string{"zero", "one", "two"} {
		p.publish(publication{topic: x.topic("a"), payload: payload, qos: byte(qos)})
		if m := listener.next("a message"); m.payload != payload || m.qos != min(byte(qos), 1) {
			x.Differ("a message with QoS %d is not delivered", qos)
		}
	}
	p.ping() // and no further answer
}

// ackCarriesIdentifier of the packet that it answers.
func ackCarriesIdentifier(x *Exam) {
	listener, p := heard(x, 1)
	for _, id := range []int{1, 0x1234, 0xffff, 2} {
		p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, id: id}) // looks at the identifiers
		p.publish(publication{topic: x.topic("a"), payload: "y", qos: 2, id: id})
		listener.next("a message with QoS 1")
		listener.next("a message with QoS 2")
	}
}

// subackCarriesIdentifier, and UNSUBACK; what they acknowledge is done.
func subackCarriesIdentifier(x *Exam) {
	c := x.connect()
	for _, id := range []uint16{1, 0x1234, 0xffff} {
		c.id = id - 1
		c.subscribe(x.topic("a"), 0)
		c.say(x.topic("a"), "heard")
		if c.next("a message").payload != "heard" {
			x.Differ("another message")
		}
		c.id = id - 1
		c.unsubscribes(x.topic("a"))
	}
}

// ownIdentifiers: messages that are not acknowledged have different ones, none 0.
func ownIdentifiers(x *Exam) {
	listener, p := heard(x, 1)
	listener.manual = true
	seen := map[uint16]bool{}
	for range 10 { // any server sends so many
		p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1})
		m := listener.next("a message")
		if m.id == 0 || seen[m.id] || m.dup || m.qos != 1 {
			x.Differ("a packet identifier that is in use, or none")
		}
		seen[m.id] = true
	}
}

// sameIdentifierAgain: while a message is not acknowledged no other has its
// identifier, behind the acknowledgement others come.
func sameIdentifierAgain(x *Exam) {
	ownIdentifiers(x)
	sentAgain(x)
}

// unacknowledgedUntilPuback: the one place of the window is taken until then.
func unacknowledgedUntilPuback(x *Exam) {
	c := x.connect(withProps(shortProp(pReceiveMaximum, 1)))
	c.manual = true
	c.subscribe(x.topic("a"), 1)
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "first", qos: 1})
	p.publish(publication{topic: x.topic("a"), payload: "second", qos: 1})
	m := c.next("a message")
	c.ping()
	c.send(frame(tPuback<<4, short(int(m.id)+1))) // of another message
	c.ping()
	if len(c.inbox) > 0 {
		x.Differ("a message counts as acknowledged that is not")
	}
	c.acknowledge(m)
	if c.next("the message behind it").payload != "second" {
		x.Differ("another message")
	}
}

// acknowledgedAndOwned: PUBACK, and the message is delivered, though its publisher
// goes.
func acknowledgedAndOwned(x *Exam) {
	listener, p := heard(x, 1)
	if code := p.publish(publication{topic: x.topic("a"), payload: "owned", qos: 1}); code >= 0x80 {
		x.Differ("PUBACK %#x", code)
	}
	p.drop()
	if listener.next("a message").payload != "owned" {
		x.Differ("another message")
	}
}

// newBehindPuback: the same identifier again is a new message, with DUP too.
func newBehindPuback(x *Exam) {
	listener, p := heard(x, 1)
	p.publish(publication{topic: x.topic("a"), payload: "first", qos: 1, id: 7})
	p.publish(publication{topic: x.topic("a"), payload: "second", qos: 1, id: 7})
	p.publish(publication{topic: x.topic("a"), payload: "third", qos: 1, id: 7, dup: true})
	for _, want := range []string{"first", "second", "third"} {
		if listener.next("a message").payload != want {
			x.Differ("another message than the %s", want)
		}
	}
}

// receivesQoS1 is the whole of it, for a standard that has it in one statement.
func receivesQoS1(x *Exam) {
	acknowledgedAndOwned(x)
	newBehindPuback(x)
}

// sendsQoS1 is the other side: a free identifier, QoS 1 without DUP, unacknowledged
// until PUBACK: it comes again to who comes back without one.
func sendsQoS1(x *Exam) {
	ownIdentifiers(x)
	sentAgain(x)
}

// begins publishes with QoS 2 up to its PUBREC.
func (c *Client) begins(p publication) byte {
	p.qos = 2
	c.send(c.publishBytes(p))
	return c.acked(tPubrec, p.id)
}

// completes is the rest.
func (c *Client) completes(id int) byte {
	c.send(frame(tPubrel<<4|2, short(id)))
	return c.acked(tPubcomp, id)
}

// receivedOwned: PUBREC, and the message is delivered.
func receivedOwned(x *Exam) {
	listener, p := heard(x, 1)
	if code := p.begins(publication{topic: x.topic("a"), payload: "owned", id: 9}); code >= 0x80 {
		x.Differ("PUBREC %#x", code)
	}
	p.completes(9)
	if listener.next("a message").payload != "owned" {
		x.Differ("another message")
	}
}

// refusedIsNew: behind a PUBREC that refuses the identifier is free.
func refusedIsNew(x *Exam) {
	if x.target.Denied == "" {
		x.NoCase("nothing is refused here")
	}
	listener, p := heard(x, 1)
	if code := p.begins(publication{topic: x.target.Denied, payload: "no", id: 9}); code < 0x80 {
		x.Differ("a message that may not be published is not refused with a PUBREC")
	}
	p.begins(publication{topic: x.topic("a"), payload: "new", id: 9})
	p.completes(9)
	if listener.next("a message").payload != "new" {
		x.Differ("another message")
	}
}

// onceUntilPubrel: sent again before PUBREL it is acknowledged again, and not
// delivered again.
func onceUntilPubrel(x *Exam) {
	listener, p := heard(x, 1)
	p.begins(publication{topic: x.topic("a"), payload: "once", id: 9})
	p.begins(publication{topic: x.topic("a"), payload: "once", id: 9, dup: true})
	p.begins(publication{topic: x.topic("a"), payload: "once", id: 9, dup: true})
	p.completes(9)
	p.publish(publication{topic: x.topic("a"), payload: "marker", qos: 1, id: 10})
	if got := listener.upTo("marker"); len(got) != 1 {
		x.Differ("a message with QoS 2 is delivered %d times", len(got))
	}
}

// completed: PUBCOMP with the identifier of the PUBREL, behind a message that was
// delivered.
func completed(x *Exam) {
	listener, p := heard(x, 1)
	for _, id := range []int{9, 0x8001} {
		p.begins(publication{topic: x.topic("a"), payload: "x", id: id})
		p.completes(id)
		listener.next("a message")
	}
}

// newBehindPubcomp: the same identifier is a new message then.
func newBehindPubcomp(x *Exam) {
	listener, p := heard(x, 1)
	for _, payload := range []string{"first", "second"} {
		p.begins(publication{topic: x.topic("a"), payload: payload, id: 9})
		p.completes(9)
		if listener.next("a message").payload != payload {
			x.Differ("another message than the %s", payload)
		}
	}
}

// receivesQoS2 is the whole of it.
func receivesQoS2(x *Exam) {
	receivedOwned(x)
	onceUntilPubrel(x)
	newBehindPubcomp(x)
}

// longerThan is when an interval of so many seconds is over for any server: those
// that count whole seconds take one more.
func longerThan(seconds int) time.Duration { return time.Duration(seconds)*second + 3*second/2 }

// completedThoughExpired: the handshake goes on when the message has expired.
func completedThoughExpired(x *Exam) {
	listener, p := heard(x, 1)
	p.begins(publication{topic: x.topic("a"), payload: "brief", id: 9, props: [][]byte{longProp(pMessageExpiry, 1)}})
	x.pass(longerThan(1))
	p.completes(9)
	p.say(x.topic("a"), "marker")
	if got := listener.upTo("marker"); len(got) > 1 {
		x.Differ("a message comes twice")
	}
}

// exactly is a listener with QoS 2 that acknowledges by hand, and the first message.
func exactly(x *Exam) (listener *Client, m message) {
	listener, p := heard(x, 2)
	listener.manual = true
	p.publish(publication{topic: x.topic("a"), payload: "twice", qos: 2})
	return listener, listener.next("a message")
}

// sentAsQoS2: with an identifier, without DUP.
func sentAsQoS2(x *Exam) {
	_, m := exactly(x)
	if m.qos != 2 || m.dup || m.id == 0 {
		x.Differ("a message with QoS 2 is not sent as one")
	}
}

// ownIdentifiersQoS2: two that are on their way have different ones.
func ownIdentifiersQoS2(x *Exam) {
	listener, m := exactly(x)
	x.connect().publish(publication{topic: x.topic("a"), payload: "next", qos: 2})
	if listener.next("a message").id == m.id {
		x.Differ("a packet identifier that is in use")
	}
	listener.acknowledge(m)
	listener.expect(tPubrel)
	x.connect().publish(publication{topic: x.topic("a"), payload: "next", qos: 2})
	if listener.next("a message").id == m.id {
		x.Differ("a packet identifier whose PUBREL is not answered")
	}
}

// releases: PUBREC is answered with a PUBREL of the same identifier.
func releases(x *Exam) {
	listener, m := exactly(x)
	listener.acknowledge(m)
	if id := binary.BigEndian.Uint16(listener.expect(tPubrel).body); id != m.id {
		x.Differ("PUBREL with another packet identifier")
	}
	listener.send(frame(tPubcomp<<4, short(int(m.id))))
	listener.ping()
}

// holdsUntilPubrec: the place of the window is taken until then, and until PUBCOMP.
func holdsUntil(x *Exam, step func(*Client, message)) {
	c := x.connect(withProps(shortProp(pReceiveMaximum, 1)))
	c.manual = true
	c.subscribe(x.topic("a"), 2)
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "first", qos: 2})
	p.publish(publication{topic: x.topic("a"), payload: "second", qos: 2})
	m := c.next("a message")
	step(c, m)
	c.ping()
	if len(c.inbox) > 0 {
		x.Differ("a message counts as acknowledged that is not")
	}
}

func holdsUntilPubrec(x *Exam) {
	holdsUntil(x, func(*Client, message) {})
	name := x.name()
	first := x.unacknowledged(name, 2)
	if again := x.resumed(name).next("what was not acknowledged"); again.id != first.id {
		x.Differ("a message with QoS 2 comes again with another packet identifier")
	}
}

func holdsUntilPubcomp(x *Exam) {
	holdsUntil(x, func(c *Client, m message) {
		c.acknowledge(m)
		c.expect(tPubrel)
	})
	sentAgainExactly(x)
}

// sendsQoS2 is the whole of it.
func sendsQoS2(x *Exam) {
	sentAsQoS2(x)
	ownIdentifiersQoS2(x)
	releases(x)
	sentAgainExactly(x)
}

// expiryNotApplied to what was sent: who comes back gets it though it has expired.
func expiryNotApplied(x *Exam) {
	name := x.name()
	c := x.keep(name)
	c.manual = true
	c.subscribe(x.topic("a"), 2)
	x.connect().publish(publication{topic: x.topic("a"), payload: "brief", qos: 2, props: [][]byte{longProp(pMessageExpiry, 1)}})
	first := c.next("a message")
	c.drop()
	x.pass(longerThan(1))
	if again := x.resumed(name).next("what was sent before it expired"); again.id != first.id {
		x.Differ("a message with QoS 2 comes again with another packet identifier")
	}
}
