package mqttconf

import (
	"encoding/binary"
	"slices"
)

// keep is a client whose session is to outlive its connection, new or not.
func (x *Exam) keep(name string, change ...func(*login)) *Client {
	l := &login{name: name}
	if x.version == v5 {
		l.props = [][]byte{longProp(pSessionExpiry, 3600)}
	}
	for _, f := range change {
		f(l)
	}
	c := x.dial()
	c.send(l.encode(x.version))
	c.readConnack()
	code := c.connack.body[1]
	switch {
	case code == 3 && x.version == v311, code == 0 && x.version == v5 && number(c.given, pSessionExpiry, 1) == 0:
		x.Differ("not built: the server says that it keeps no sessions")
	case code != 0:
		x.Differ("CONNACK %#x instead of 0", code)
	}
	return c
}

// resumed is keep, and differs unless there was a session.
func (x *Exam) resumed(name string, change ...func(*login)) *Client {
	c := x.keep(name, change...)
	if !c.present() {
		x.Differ("no Session Present for a client that comes back")
	}
	return c
}

// away is a client that has subscribed to the topic "a" and gone; from is what it has
// gone with, nil for a DISCONNECT.
func (x *Exam) away(name string, qos byte, change ...func(*login)) {
	c := x.keep(name, change...)
	if c.present() {
		x.Differ("Session Present for a client that was never there")
	}
	c.subscribe(x.topic("a"), qos)
	c.leave()
}

// sessionResumed: subscriptions are there, and what came meanwhile.
func sessionResumed(x *Exam) {
	name := x.name()
	x.away(name, 1)
	x.connect().publish(publication{topic: x.topic("a"), payload: "meanwhile", qos: 1})
	c := x.resumed(name)
	if m := c.next("what came meanwhile"); m.payload != "meanwhile" || m.qos != 1 {
		x.Differ("another message than what came meanwhile")
	}
	x.connect().publish(publication{topic: x.topic("a"), payload: "after", qos: 1})
	if c.next("a message for the subscription of before").payload != "after" {
		x.Differ("another message than what came after")
	}
	subscriptionsResumed(x)
}

// subscriptionsResumed as they were: with their options, and without those that were
// taken away.
func subscriptionsResumed(x *Exam) {
	name := x.name()
	c := x.keep(name)
	c.subscribe(x.topic("qos0"), 0)
	c.subscribe(x.topic("gone"), 1)
	options := byte(1)
	if x.version == v5 {
		options |= noLocal | asPublished
	}
	c.subscribe(x.topic("options"), options)
	c.unsubscribes(x.topic("gone"))
	c.leave()
	c = x.resumed(name)
	p := x.connect()
	p.publish(publication{topic: x.topic("gone"), payload: "x", qos: 1})
	p.publish(publication{topic: x.topic("qos0"), payload: "plain", qos: 1})
	if m := c.next("a message"); m.payload != "plain" || m.qos != 0 {
		x.Differ("a subscription is resumed that was taken away, or with another QoS")
	}
	p.publish(publication{topic: x.topic("options"), payload: "kept", qos: 1, retain: true})
	if m := c.next("a message"); m.payload != "kept" || m.qos != 1 || m.retain != (x.version == v5) {
		x.Differ("a subscription is resumed with other options")
	}
	if x.version == v5 {
		c.publish(publication{topic: x.topic("options"), payload: "own", qos: 1})
		p.publish(publication{topic: x.topic("options"), payload: "marker", qos: 1})
		if len(c.upTo("marker")) > 0 {
			x.Differ("a subscription is resumed without No Local")
		}
	}
}

// sessionQueuesBoth QoS 1 and QoS 2 for a client that is away.
func sessionQueuesBoth(x *Exam) {
	name := x.name()
	x.away(name, 2)
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "one", qos: 1})
	p.publish(publication{topic: x.topic("a"), payload: "two", qos: 2})
	c := x.resumed(name)
	if m := c.next("what came meanwhile"); m.payload != "one" || m.qos != 1 {
		x.Differ("not the message with QoS 1 first")
	}
	if m := c.next("what came meanwhile with QoS 2"); m.payload != "two" || m.qos != 2 {
		x.Differ("not the message with QoS 2 then")
	}
	c.ping()
}

// sessionNew: without one there is a new one, which works.
func sessionNew(x *Exam) {
	var c *Client
	if x.version == v5 { // it need not outlive the connection
		c = x.connect(func(l *login) { l.clean = false })
	} else {
		c = x.keep(x.name())
	}
	if c.present() {
		x.Differ("Session Present for a client that was never there")
	}
	works(x, c)
}

// sessionNewKept is both, for a standard that has them in one statement.
func sessionNewKept(x *Exam) {
	sessionNew(x)
	sessionResumed(x)
}

// sessionAbsent: there is no Session Present where there is none.
func sessionAbsent(x *Exam) {
	c := x.keep(x.name())
	if c.present() {
		x.Differ("Session Present for a client that was never there")
	}
	works(x, c)
}

// cleanNotPresent: a clean start is not told of a session, whatever was before.
func cleanNotPresent(x *Exam) {
	name := x.name()
	if x.keepsSessions() {
		x.away(name, 1)
	}
	for range 2 {
		c := x.connect(withName(name))
		if c.present() {
			x.Differ("Session Present for a clean start")
		}
		works(x, c)
		c.leave()
	}
}

// keepsSessions reports whether the server does at all.
func (x *Exam) keepsSessions() bool {
	l := &login{name: x.name()}
	if x.version == v5 {
		l.props = [][]byte{longProp(pSessionExpiry, 3600)}
	}
	c := x.dial()
	c.send(l.encode(x.version))
	c.readConnack()
	return c.connack.body[1] == 0 && number(c.given, pSessionExpiry, 1) != 0
}

// cleanProcessed is all that a clean session means, and its contrary.
func cleanProcessed(x *Exam) {
	cleanNotPresent(x)
	sessionDiscarded(x)
	sessionNewKept(x)
}

// sessionPresent says what there is: for who was away, however it went, and for who
// takes a connection over.
func sessionPresent(x *Exam) {
	name := x.name()
	x.away(name, 1)
	x.resumed(name).leave()
	x.resumed(name).drop()
	c := x.resumed(name)
	fresh := x.resumed(name)
	c.ends("another client with its client identifier")
	x.connect().publish(publication{topic: x.topic("a"), payload: "heard", qos: 1})
	if fresh.next("a message").payload != "heard" {
		x.Differ("another message")
	}
}

// sessionDiscarded: a clean start has no session of before, and says so; nor has who
// comes after it.
func sessionDiscarded(x *Exam) {
	name := x.name()
	x.away(name, 1)
	x.connect().publish(publication{topic: x.topic("a"), payload: "meanwhile", qos: 1})
	c := x.connect(withName(name))
	if c.present() {
		x.Differ("Session Present for a clean start")
	}
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "after", qos: 1})
	c.subscribe(x.topic("b"), 1)
	p.publish(publication{topic: x.topic("b"), payload: "marker", qos: 1})
	if len(c.upTo("marker")) > 0 {
		x.Differ("a clean start gets messages of the session before")
	}
	c.leave()
	if x.keep(name).present() {
		x.Differ("a session is there again behind a clean start")
	}
}

// sessionExpires when its time has passed, which may be told with the DISCONNECT.
func sessionExpires(x *Exam) {
	name := x.name()
	x.keep(name).leave(join([]byte{0}, block(longProp(pSessionExpiry, 0)))...)
	c := x.keep(name)
	if c.present() {
		x.Differ("a session is there behind a DISCONNECT that ends it")
	}
	c.leave(join([]byte{0}, block(longProp(pSessionExpiry, 1000)))...)
	x.resumed(name).leave()
	name = x.name()
	brief := func(l *login) { l.props = [][]byte{longProp(pSessionExpiry, 1)} }
	x.away(name, 1, brief)
	x.resumed(name, brief).leave()
	// Each look begins its time anew, so the looks get rarer.
	for wait := 3 * second / 2; ; wait *= 2 {
		x.pass(wait)
		c := x.keep(name, brief)
		switch {
		case !c.present():
			return
		case wait > 6*second:
			x.Differ("a session is there behind its expiry")
		}
		c.leave()
	}
}

// sessionWhileConnected: it lasts as long as the connection, whatever happens there.
func sessionWhileConnected(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a"), 1)
	for range 20 {
		c.subscribes(filter{x.topic("b"), 0})
		c.unsubscribes(x.topic("b"))
		c.ping()
	}
	c.unsubscribes(x.topic("never"))
	x.connect().publish(publication{topic: x.topic("a"), payload: "still there", qos: 1})
	if c.next("a message for an old subscription").payload != "still there" {
		x.Differ("another message")
	}
}

// sessionForItsWhole life: connected, away and back.
func sessionForItsWhole(x *Exam) {
	sessionWhileConnected(x)
	sessionResumed(x)
}

// retainedOutlivesSession: it is no part of one.
func retainedOutlivesSession(x *Exam) {
	c := x.connect()
	c.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	c.leave()
	late := x.connect()
	late.subscribe(x.topic("a"), 1)
	if m := late.next("what was retained"); m.payload != "kept" || !m.retain {
		x.Differ("what was retained is gone with the session")
	}
}

// unacknowledged is a client that got a message and has gone without acknowledging it.
func (x *Exam) unacknowledged(name string, qos byte) message {
	c := x.keep(name)
	c.manual = true
	c.subscribe(x.topic("a"), qos)
	x.connect().publish(publication{topic: x.topic("a"), payload: "again", qos: qos})
	m := c.next("a message")
	c.drop()
	return m
}

// sentAgain: what was not acknowledged comes again, under its identifier and with
// DUP.
func sentAgain(x *Exam) {
	name := x.name()
	first := x.unacknowledged(name, 1)
	c := x.resumed(name)
	again := c.next("what was not acknowledged")
	switch {
	case again.payload != first.payload:
		x.Differ("another message than what was not acknowledged")
	case again.id != first.id:
		x.Differ("what was not acknowledged comes again with another packet identifier")
	case !again.dup:
		x.Differ("what was not acknowledged comes again without DUP")
	}
	c.ping()
	c.drop()
	c = x.resumed(name)
	c.subscribe(x.topic("b"), 1)
	x.connect().publish(publication{topic: x.topic("b"), payload: "marker", qos: 1})
	if len(c.upTo("marker")) > 0 {
		x.Differ("what was acknowledged comes again")
	}
}

// sentAgainExactly: the same with QoS 2, at both of its steps.
func sentAgainExactly(x *Exam) {
	name := x.name()
	first := x.unacknowledged(name, 2)
	c := x.keep(name)
	c.manual = true
	again := c.next("what was not acknowledged")
	if again.id != first.id || !again.dup || again.qos != 2 {
		x.Differ("a message with QoS 2 does not come again as it was, with DUP")
	}
	c.acknowledge(again)
	c.expect(tPubrel)
	c.drop()
	c = x.keep(name)
	c.manual = true
	if id := binary.BigEndian.Uint16(c.expect(tPubrel).body); id != first.id {
		x.Differ("PUBREL comes again with another packet identifier")
	}
	if len(c.inbox) > 0 {
		x.Differ("a message with QoS 2 comes again behind its PUBREL")
	}
	c.send(frame(tPubcomp<<4, short(int(first.id))))
	c.ping()
}

// sentAgainAll is both.
func sentAgainAll(x *Exam) {
	sentAgain(x)
	sentAgainExactly(x)
}

// sentAgainInOrder of the original.
func sentAgainInOrder(x *Exam) {
	name := x.name()
	c := x.keep(name)
	c.manual = true
	c.subscribe(x.topic("a"), 1)
	p := x.connect()
	want := []string{"1", "2", "3", "4", "5"}
	for _, s := range want {
		p.publish(publication{topic: x.topic("a"), payload: s, qos: 1})
	}
	for range want {
		c.next("a message")
	}
	c.drop()
	c = x.resumed(name)
	var got []string
	for range want {
		got = append(got, c.next("what was not acknowledged").payload)
	}
	if !slices.Equal(got, want) {
		x.Differ("what was not acknowledged comes again in another order")
	}
}

// refusedNotAgain: what a client has refused counts as acknowledged.
func refusedNotAgain(x *Exam) {
	name := x.name()
	c := x.keep(name)
	c.manual = true
	c.subscribe(x.topic("a"), 1)
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "unwanted", qos: 1})
	c.send(frame(tPuback<<4, short(int(c.next("a message").id)), []byte{0x80}))
	c.ping()
	c.drop()
	c = x.resumed(name)
	p.publish(publication{topic: x.topic("a"), payload: "marker", qos: 1})
	if len(c.upTo("marker")) > 0 {
		x.Differ("a message that was refused comes again")
	}
}

// sharedCompletes: a message with QoS 2 that was begun with one member of a group is
// completed with that one.
func sharedCompletes(x *Exam) {
	share := "$share/g" + x.name() + "/" + x.topic("a")
	name := x.name()
	one := x.keep(name)
	one.manual = true
	if !one.joins(share) {
		x.NoCase("a group is granted QoS 1 in a session that is kept, by choice: no message with QoS 2 is begun there")
	}
	x.connect().publish(publication{topic: x.topic("a"), payload: "begun", qos: 2})
	begun := one.next("a message")
	other := x.connect()
	other.subscribe(share, 2)
	one.drop()
	again := x.resumed(name).next("what was begun")
	if again.payload != "begun" || again.id != begun.id {
		x.Differ("what was begun with a member of a group is not completed with it")
	}
	x.connect().publish(publication{topic: x.topic("a"), payload: "marker", qos: 2})
	x.connect().publish(publication{topic: x.topic("a"), payload: "marker", qos: 2})
	if len(other.upTo("marker")) > 0 {
		x.Differ("what was begun with one member of a group comes to another")
	}
}

// joins subscribes to a group with QoS 2. It reports false when a lower one is granted.
func (c *Client) joins(share string) bool {
	codes := c.subscribes(filter{share, 2})
	if len(codes) != 1 || codes[0] > 2 {
		c.x.Differ("a shared subscription is answered with %#x", codes)
	}
	return codes[0] == 2
}

// sharedEnds: when that one's session ends instead, nobody else gets it.
func sharedEnds(x *Exam) {
	share := "$share/g" + x.name() + "/" + x.topic("a")
	name := x.name()
	one := x.keep(name)
	if !one.joins(share) { // so only a session that is not kept has QoS 2
		one.leave()
		one = x.connect(withName(name))
		one.subscribe(share, 2)
	}
	one.manual = true
	x.connect().publish(publication{topic: x.topic("a"), payload: "begun", qos: 2})
	one.next("a message")
	other := x.connect()
	other.subscribe(share, 2)
	one.drop()
	x.connect(withName(name)).leave() // a clean start ends the session
	x.connect().publish(publication{topic: x.topic("a"), payload: "marker", qos: 2})
	if len(other.upTo("marker")) > 0 {
		x.Differ("what was begun with one member of a group comes to another")
	}
}
