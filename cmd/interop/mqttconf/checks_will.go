package mqttconf

import (
	"slices"
	"time"
)

// lastWords is a listener and a client with a will on the topic it listens to.
func lastWords(x *Exam, w will) (listener, c *Client) {
	listener = x.connect()
	w.topic = x.topic("w")
	listener.subscribe(w.topic, 1)
	return listener, x.connect(withWill(w))
}

// nothingBut differs when anything comes to the will's topic before a marker.
func nothingBut(x *Exam, listener *Client, what string) {
	x.connect().publish(publication{topic: x.topic("w"), payload: "marker", qos: 1})
	if len(listener.upTo("marker")) > 0 {
		x.Differ("%s", what)
	}
}

// willPublished when the connection ends without a DISCONNECT.
func willPublished(x *Exam) {
	listener, c := lastWords(x, will{payload: "gone", qos: 1})
	c.drop()
	if m := listener.next("the will"); m.payload != "gone" || m.qos != 1 || m.topic != x.topic("w") {
		x.Differ("another message than the will")
	}
}

// willDiscarded on a DISCONNECT.
func willDiscarded(x *Exam) {
	listener, c := lastWords(x, will{payload: "gone"})
	c.leave()
	nothingBut(x, listener, "a will is published behind a DISCONNECT")
	willPublished2(x, listener)
}

// willPublished2 shows that the listener would have heard a will.
func willPublished2(x *Exam, listener *Client) {
	x.connect(withWill(will{topic: x.topic("w"), payload: "control"})).drop()
	if m := listener.next("the will"); m.payload != "control" {
		x.Differ("another message than the will")
	}
}

// willWhen is both: published or not by how the connection ends. A protocol error is
// an end without DISCONNECT, and so is a DISCONNECT of MQTT 5 that asks for the will.
func willWhen(x *Exam) {
	willDiscarded(x)
	listener, c := lastWords(x, will{payload: "error"})
	c.rejects("a second CONNECT", (&login{name: x.name(), clean: true}).encode(x.version))
	if listener.next("the will behind a protocol error").payload != "error" {
		x.Differ("another message than the will")
	}
	if x.version == v5 {
		listener, c = lastWords(x, will{payload: "asked for"})
		c.leave(0x04)
		if listener.next("the will behind a DISCONNECT 4").payload != "asked for" {
			x.Differ("another message than the will")
		}
	}
}

// willOnce: it is gone when it was published, and when it was discarded.
func willOnce(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("w"), 1)
	name := x.name()
	x.connect(withName(name), withWill(will{topic: x.topic("w"), payload: "gone", qos: 1})).drop()
	listener.next("the will")
	// The same client without a will, ended without a word.
	x.connect(withName(name)).drop()
	nothingBut(x, listener, "a will is published twice")
	c := x.connect(withName(name), withWill(will{topic: x.topic("w"), payload: "gone", qos: 1}))
	c.leave()
	x.connect(withName(name)).drop()
	nothingBut(x, listener, "a will that was discarded is published")
}

// noWill: who has none leaves none.
func noWill(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("#"), 1)
	x.connect().drop()
	nothingBut(x, listener, "something is published for a client without a will")
	willPublished2(x, listener)
}

// willNotRetained and willRetained: by its flag.
func willNotRetained(x *Exam) {
	listener, c := lastWords(x, will{payload: "gone", qos: 1})
	c.drop()
	if m := listener.next("the will"); m.retain {
		x.Differ("a will with RETAIN that was not asked for")
	}
	late := x.connect()
	late.subscribe(x.topic("w"), 1)
	nothingBut(x, late, "a will without will retain is retained")
}

func willRetained(x *Exam) {
	listener, c := lastWords(x, will{payload: "gone", qos: 1, retain: true})
	if number(c.given, pRetainAvailable, 1) == 0 {
		x.NoCase("the server keeps no retained messages")
	}
	c.drop()
	listener.next("the will")
	late := x.connect()
	late.subscribe(x.topic("w"), 1)
	if m := late.next("the retained will"); m.payload != "gone" || !m.retain {
		x.Differ("the will is not retained")
	}
}

// willUserProperties come in their order.
func willUserProperties(x *Exam) {
	listener, c := lastWords(x, will{payload: "gone", props: [][]byte{
		userProp("b", "1"), userProp("a", "2"), userProp("b", "0"), textProp(pContentType, "text/plain")}})
	c.drop()
	m := listener.next("the will")
	if got := users(m.props); !slices.Equal(got, []string{"b\x001", "a\x002", "b\x000"}) {
		x.Differ("user properties of a will are not those that were sent, in their order")
	}
}

// willQoSAnnounced: without Maximum QoS in CONNACK a will may have QoS 2, with it a
// will above is refused.
func willQoSAnnounced(x *Exam) {
	highest := number(x.connect().given, pMaximumQoS, 2)
	l := &login{name: x.name(), clean: true, will: &will{topic: x.topic("w"), payload: "gone", qos: byte(highest)}}
	listener := x.connect()
	listener.subscribe(x.topic("w"), 1)
	c := x.dial()
	c.send(l.encode(x.version))
	c.welcomed()
	c.drop()
	listener.next("the will")
	if highest < 2 {
		l.will.qos, l.name = 2, x.name()
		x.refusesConnect("a will above Maximum QoS", l.encode(x.version))
	}
}

// willRetainAnnounced: as willQoSAnnounced, with Retain Available.
func willRetainAnnounced(x *Exam) {
	if number(x.connect().given, pRetainAvailable, 1) == 1 {
		willRetained(x)
		return
	}
	l := &login{name: x.name(), clean: true, will: &will{topic: x.topic("w"), payload: "gone", retain: true}}
	x.refusesConnect("a retained will, which the server does not support", l.encode(x.version))
}

// willDelayed: none when the client comes back before its delay has passed.
func willDelayed(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("w"), 1)
	name := x.name()
	c := x.keep(name, withWill(will{topic: x.topic("w"), payload: "gone", props: [][]byte{longProp(pWillDelay, 3600)}}))
	c.drop()
	again := x.keep(name)
	nothingBut(x, listener, "a will is published though its client came back within the delay")
	again.leave()
	// And it is one: with a short delay it comes.
	c = x.keep(x.name(), withWill(will{topic: x.topic("w"), payload: "late", props: [][]byte{longProp(pWillDelay, 1)}}))
	begin := time.Now()
	c.drop()
	if listener.next("a delayed will").payload != "late" {
		x.Differ("another message than the will")
	}
	if time.Since(begin) < time.Second/2 {
		x.Differ("a will does not wait for its delay")
	}
}
