package mqttconf

import "strings"

// window is a client with a Receive Maximum of 2, and four messages that were
// published for it, of which two may come.
func window(x *Exam) (c, p *Client, sent []message) {
	c = x.connect(withProps(shortProp(pReceiveMaximum, 2)))
	c.manual = true
	c.subscribe(x.topic("a"), 1)
	c.subscribe(x.topic("b"), 0)
	p = x.connect()
	for _, payload := range []string{"1", "2", "3", "4"} {
		p.publish(publication{topic: x.topic("a"), payload: payload, qos: 1})
	}
	return c, p, []message{c.next("a message"), c.next("a message")}
}

// receiveMaximum is not exceeded, and used.
func receiveMaximum(x *Exam) {
	c, p, sent := window(x)
	p.say(x.topic("b"), "marker")
	if len(c.upTo("marker")) > 0 {
		x.Differ("more messages that are not acknowledged than Receive Maximum")
	}
	for i, want := range []string{"3", "4"} {
		c.acknowledge(sent[i])
		if c.next("the message behind").payload != want {
			x.Differ("another message")
		}
		c.ping()
		if len(c.inbox) > 0 {
			x.Differ("more messages that are not acknowledged than Receive Maximum")
		}
	}
}

// othersNotDelayed by messages that wait: all else is answered, and QoS 0 comes.
func othersNotDelayed(x *Exam) {
	c, p, _ := window(x)
	p.say(x.topic("b"), "plain")
	if c.next("a message with QoS 0").payload != "plain" {
		x.Differ("another message")
	}
	c.subscribe(x.topic("c"), 0)
	c.unsubscribes(x.topic("c"))
	c.publish(publication{topic: x.topic("d"), payload: "x", qos: 1})
	c.publish(publication{topic: x.topic("d"), payload: "x", qos: 2})
	c.ping()
	if len(c.inbox) > 0 {
		x.Differ("more messages that are not acknowledged than Receive Maximum")
	}
}

// windowOfOne lets one through.
func windowOfOne(x *Exam) { unacknowledgedUntilPuback(x) }

// tooLarge: what exceeds Maximum Packet Size does not come, and what follows does.
func tooLarge(x *Exam) { oversized(x) }

// tooLargeCounts as sent: with QoS 1 it takes no place of the window.
func tooLargeCounts(x *Exam) { oversized(x, shortProp(pReceiveMaximum, 1)) }

func oversized(x *Exam, props ...[]byte) {
	const limit = 300
	c := x.connect(withProps(longProp(pMaximumPacketSize, limit)), withProps(props...))
	c.subscribe(x.topic("a"), 1)
	p := x.connect()
	for qos := range byte(2) {
		p.publish(publication{topic: x.topic("a"), payload: strings.Repeat("x", limit), qos: qos})
		p.publish(publication{topic: x.topic("a"), payload: strings.Repeat("x", 10*limit), qos: qos})
		p.publish(publication{topic: x.topic("a"), payload: "marker", qos: qos})
		if len(c.upTo("marker")) > 0 {
			x.Differ("a message above Maximum Packet Size")
		}
	}
	p.publish(publication{topic: x.topic("a"), payload: strings.Repeat("x", limit-100), qos: 1})
	if m := c.next("a message within Maximum Packet Size"); m.size > limit {
		x.Differ("a message above Maximum Packet Size")
	}
}

// noResponseInformation that was not asked for.
func noResponseInformation(x *Exam) {
	for _, props := range [][][]byte{nil, {byteProp(pResponseInfo, 0)}} {
		c := x.connect(withProps(props...))
		if _, ok := find(c.given, pResponseInfoGiven); ok {
			x.Differ("Response Information that was not asked for")
		}
		works(x, c)
	}
}

// answers are packets of each kind that a client can have the server send, with
// failures among them.
func answers(x *Exam, props ...[]byte) (all []packet) {
	c := x.connect(withProps(props...))
	all = append(all, c.connack)
	ask := func(c *Client, kind byte, request []byte) {
		c.send(request)
		all = append(all, c.expect(kind))
	}
	name := x.topic("a")
	ask(c, tPuback, c.publishBytes(publication{topic: name, qos: 1, id: 5}))
	ask(c, tPubrec, c.publishBytes(publication{topic: name, qos: 2, id: 5}))
	ask(c, tPubcomp, frame(tPubrel<<4|2, short(5)))
	ask(c, tSuback, c.subscribeBytes(5, nil, filter{name, 1}))
	ask(c, tUnsuback, sample(c, tUnsubscribe))
	ask(c, tUnsuback, sample(c, tUnsubscribe)) // of a filter that is not there any more
	ask(c, tPingresp, frame(tPingreq<<4))
	// What is refused may end the connection instead.
	refused := []([]byte){frame(tPubrel<<4|2, short(77))}
	if x.target.Denied != "" {
		refused = append(refused, c.publishBytes(publication{topic: x.target.Denied, qos: 1, id: 5}),
			c.publishBytes(publication{topic: x.target.Denied, qos: 2, id: 6}), c.subscribeBytes(7, nil, filter{x.target.Denied, 1}))
	}
	for _, request := range refused {
		c := x.connect(withProps(props...))
		c.send(request)
		if p, err := c.read(); err == nil && p.kind() != tDisconnect {
			all = append(all, p)
		} else if err != nil && err != errGone {
			x.Differ("%v", err)
		}
	}
	return all
}

// release is a PUBREL of the server, for a message that it never sent.
func release(x *Exam, props ...[]byte) packet {
	c := x.connect(withProps(props...))
	c.send(frame(tPubrec<<4, short(77)))
	return c.expect(tPubrel)
}

// farewell is the DISCONNECT of a server behind a protocol error.
func farewell(x *Exam, props ...[]byte) (packet, bool) {
	c := x.connect(withProps(props...))
	c.send((&login{name: x.name(), clean: true}).encode(x.version), frame(tPingreq<<4))
	for _, p := range c.ends("a second CONNECT") {
		if p.kind() == tDisconnect {
			return p, true
		}
	}
	return packet{}, false
}

// propertiesAt is where the properties of a packet begin in its body.
func propertiesAt(kind byte) int {
	switch kind {
	case tSuback, tUnsuback, tConnack:
		return 2
	case tDisconnect:
		return 1
	}
	return 3
}

// explanations are Reason String and User Properties of a packet.
func explanations(x *Exam, p packet) int {
	at := propertiesAt(p.kind())
	if p.kind() == tPingresp || p.kind() == tConnack && len(p.body) <= 2 || len(p.body) <= at {
		return 0
	}
	props, _, err := cutProperties(p.kind(), p.body[at:])
	if err != nil {
		x.Differ("%v", err)
	}
	n := len(users(props))
	if _, ok := find(props, pReasonString); ok {
		n++
	}
	return n
}

// notExplained: a client that wants no explanations gets none.
func notExplained(x *Exam) {
	for _, p := range append(answers(x, byteProp(pProblemInfo, 0)), release(x, byteProp(pProblemInfo, 0))) {
		if p.kind() != tConnack && explanations(x, p) > 0 {
			x.Differ("a Reason String or User Property in %s for a client that wants none", typeName(p.kind()))
		}
	}
}

// Explanations do not make a packet larger than the client takes: one check a kind.

func fitting(x *Exam, kind byte) {
	const limit = 16
	size := longProp(pMaximumPacketSize, limit)
	var all []packet
	switch kind {
	case tPubrel:
		all = append(all, release(x, size))
	case tDisconnect:
		p, ok := farewell(x, size)
		if !ok {
			x.NoCase("the server sends no DISCONNECT here")
		}
		all = append(all, p)
	default:
		all = answers(x, size)
	}
	for _, p := range all {
		if p.kind() == kind && p.size > limit && explanations(x, p) > 0 {
			x.Differ("a Reason String or User Property makes %s larger than Maximum Packet Size", typeName(kind))
		}
	}
}

func connackFits(x *Exam)    { fitting(x, tConnack) }
func pubackFits(x *Exam)     { fitting(x, tPuback) }
func pubrecFits(x *Exam)     { fitting(x, tPubrec) }
func pubrelFits(x *Exam)     { fitting(x, tPubrel) }
func pubcompFits(x *Exam)    { fitting(x, tPubcomp) }
func subackFits(x *Exam)     { fitting(x, tSuback) }
func unsubackFits(x *Exam)   { fitting(x, tUnsuback) }
func disconnectFits(x *Exam) { fitting(x, tDisconnect) }

// Reason codes of acknowledgements are those of the standard.

func codesOf(x *Exam, kind byte, known string) {
	for _, p := range answers(x) {
		if p.kind() != kind || len(p.body) < 3 {
			continue
		}
		if strings.IndexByte(known, p.body[2]) < 0 {
			x.Differ("%s %#x", typeName(kind), p.body[2])
		}
	}
}

const publishCodes = "\x00\x10\x80\x83\x87\x90\x91\x97\x99"

func pubackCodes(x *Exam)  { codesOf(x, tPuback, publishCodes) }
func pubrecCodes(x *Exam)  { codesOf(x, tPubrec, publishCodes) }
func pubcompCodes(x *Exam) { codesOf(x, tPubcomp, "\x00\x92") }

func pubrelCodes(x *Exam) {
	if p := release(x); len(p.body) > 2 && p.body[2] != 0 && p.body[2] != 0x92 {
		x.Differ("PUBREL %#x", p.body[2])
	}
}

// unsubackCodes of a filter that was there and one that was not.
func unsubackCodes(x *Exam) { manyToTake(x) }
