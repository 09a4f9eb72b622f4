package mqttconf

import (
	"bytes"
	"slices"
	"strings"
)

// deliveredTo all that have a matching subscription.
func deliveredToAll(x *Exam) {
	var listeners []*Client
	for _, name := range []string{"a/b", "a/+", "#", "+/b"} {
		c := x.connect()
		c.subscribe(x.topic(name), 1)
		listeners = append(listeners, c)
	}
	x.connect().publish(publication{topic: x.topic("a/b"), payload: "all", qos: 1})
	for _, c := range listeners {
		if c.next("a message").payload != "all" {
			x.Differ("another message")
		}
	}
}

// topicMatches the filter: nothing else comes, and the topic is the published one.
func topicMatches(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a/+/c"), 0)
	p := x.connect()
	for _, name := range []string{"a/b", "a/b/c/d", "a/c", "b/b/c", "a/b/c", "a//c"} {
		p.say(x.topic(name), name)
	}
	p.say(x.topic("a/end/c"), "marker")
	var got []string
	for _, m := range c.upTo("marker") {
		if m.topic != x.topic(m.payload) {
			x.Differ("a message with another topic than it was published with")
		}
		got = append(got, m.payload)
	}
	if !slices.Equal(got, []string{"a/b/c", "a//c"}) {
		x.Differ("the messages that match a filter are others")
	}
}

// orderKept: of one client, one topic and one QoS.
func orderKept(x *Exam) {
	for qos := range byte(2) {
		c := x.connect()
		c.subscribe(x.topic("a"), qos)
		p := x.connect()
		var want, got []string
		var burst []byte
		for i := range 100 {
			want = append(want, strings.Repeat("x", i))
			burst = append(burst, p.publishBytes(publication{topic: x.topic("a"), payload: want[i], qos: qos, id: p.newID()})...)
		}
		p.send(burst)
		for range want {
			got = append(got, c.next("a message").payload)
		}
		if !slices.Equal(got, want) {
			x.Differ("messages with QoS %d come in another order", qos)
		}
	}
}

// orderKeptAndSentAgain: MQTT 3.1.1 has the order of what is sent again there too.
func orderKeptAndSentAgain(x *Exam) {
	orderKept(x)
	sentAgainInOrder(x)
}

// fullyServed: what has no Maximum QoS in CONNACK takes QoS 2 up to its end.
func fullyServed(x *Exam) {
	listener, p := heard(x, 1)
	highest := byte(number(p.given, pMaximumQoS, 2))
	p.publish(publication{topic: x.topic("a"), payload: "highest", qos: highest})
	if listener.next("a message").payload != "highest" {
		x.Differ("another message")
	}
	if highest < 2 {
		p.rejects("a message above Maximum QoS", p.publishBytes(publication{topic: x.topic("a"), qos: highest + 1, id: 5}))
	}
}

// passedOn publishes with properties and gives those that come.
func passedOn(x *Exam, props ...[]byte) []property {
	listener, p := heard(x, 1)
	p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, props: props})
	return listener.next("a message").props
}

// unaltered differs unless the property comes as it was sent.
func unaltered(x *Exam, id byte, value string, prop []byte) {
	got, ok := find(passedOn(x, prop), id)
	if !ok {
		x.Differ("property %#x with the value %.20q is not passed on", id, value)
	}
	if string(got) != value {
		x.Differ("property %#x is passed on with another value", id)
	}
}

func payloadFormatPassedOn(x *Exam) {
	unaltered(x, pPayloadFormat, "\x01", byteProp(pPayloadFormat, 1))
	unaltered(x, pPayloadFormat, "\x00", byteProp(pPayloadFormat, 0))
	if _, ok := find(passedOn(x), pPayloadFormat); ok {
		x.Differ("a Payload Format Indicator that nobody sent")
	}
}

func responseTopicPassedOn(x *Exam) {
	for _, topic := range []string{"answers/1", "answers/with blank/.dots/é", "/", "a//b/"} {
		unaltered(x, pResponseTopic, topic, textProp(pResponseTopic, topic))
	}
}

func correlationPassedOn(x *Exam) {
	for _, data := range []string{"id 7", "\x00\xff\r\n\x80", "", strings.Repeat("\x01\x00", 1000)} {
		unaltered(x, pCorrelation, data, textProp(pCorrelation, data))
	}
}

func contentTypePassedOn(x *Exam) {
	for _, s := range []string{"text/plain", "é; charset=utf-8", "x" + strings.Repeat("y", 500)} {
		unaltered(x, pContentType, s, textProp(pContentType, s))
	}
}

// userPropertiesPassedOn: all, as they are, in their order.
func userPropertiesPassedOn(x *Exam) {
	sent := [][2]string{{"z", "1"}, {"a", "2"}, {"z", "3"}, {"Mixed-Case", "V a l u e"}, {"é", "ü"}, {"empty", ""}}
	var props [][]byte
	var want []string
	for _, p := range sent {
		props = append(props, userProp(p[0], p[1]))
		want = append(want, p[0]+"\x00"+p[1])
	}
	if got := users(passedOn(x, props...)); !slices.Equal(got, want) {
		x.Differ("user properties are not passed on as they were sent, in their order")
	}
}

// userPropertiesOdd are those whose names or values are no good header lines.
func userPropertiesOdd(x *Exam) {
	userPropertiesPassedOn(x)
	for _, p := range [][2]string{{"with blank", "x"}, {"", "x"}, {"a:b", "x"}} {
		if got := users(passedOn(x, userProp(p[0], p[1]))); !slices.Equal(got, []string{p[0] + "\x00" + p[1]}) {
			x.Differ("a user property with the name %q and the value %q is not passed on", p[0], p[1])
		}
	}
}

// badResponseTopic: no subscriber gets one with wildcards.
func badResponseTopic(x *Exam) {
	listener, _ := heard(x, 0)
	for _, topic := range []string{"answers/+", "answers/#"} {
		p := x.connect()
		p.send(p.publishBytes(publication{topic: x.topic("a"), payload: "x", props: [][]byte{textProp(pResponseTopic, topic)}}), frame(tPingreq<<4))
		for { // served, or ended
			if answer, err := p.read(); err != nil || answer.kind() == tPingresp {
				break
			}
		}
	}
	x.connect().say(x.topic("a"), "marker")
	for _, m := range listener.upTo("marker") {
		if v, ok := find(m.props, pResponseTopic); ok && bytes.ContainsAny(v, "+#") {
			x.Differ("a Response Topic with a wildcard is passed on")
		}
	}
}

// expiryCountsDown: who gets a message late gets a shorter interval.
func expiryCountsDown(x *Exam) {
	const expiry = 1000
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, retain: true, props: [][]byte{longProp(pMessageExpiry, expiry)}})
	x.until("Message Expiry Interval does not get shorter while a message waits", func() bool {
		late := x.connect()
		late.subscribe(x.topic("a"), 0)
		got := number(late.next("a message").props, pMessageExpiry, -1)
		if got < 0 || got > expiry {
			x.Differ("a message without its Message Expiry Interval, or with a longer one")
		}
		return got < expiry
	})
}

// expires: who comes behind the interval does not get the message.
func expires(x *Exam) {
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "brief", qos: 1, retain: true, props: [][]byte{longProp(pMessageExpiry, 1)}})
	p.publish(publication{topic: x.topic("b"), payload: "lasting", qos: 1, retain: true, props: [][]byte{longProp(pMessageExpiry, 1000)}})
	p.publish(publication{topic: x.topic("sentinel"), payload: "sentinel", qos: 1, retain: true})
	x.until("a message is delivered behind its expiry", func() bool {
		late := x.connect()
		late.subscribe(x.topic("b"), 0)
		if late.next("a message before its expiry").payload != "lasting" {
			x.Differ("another message")
		}
		return len(late.keptFor(x.topic("a"), 0)) == 0
	})
}

// Topic aliases, of clients.

// aliases is a client and how many aliases the server takes from it.
func aliases(x *Exam) (c *Client, highest int) {
	c = x.connect()
	highest = number(c.given, pTopicAliasMaximum, 0)
	if highest == 0 {
		x.NoCase("the server takes no topic aliases, and announces none")
	}
	return c, highest
}

func aliasesTaken(x *Exam) {
	p, highest := aliases(x)
	listener := x.connect()
	listener.subscribe(x.topic("#"), 0)
	for _, alias := range []int{1, highest} {
		name := x.topic(strings.Repeat("t", 1+alias%7))
		p.publish(publication{topic: name, payload: "names", props: [][]byte{shortProp(pTopicAlias, alias)}})
		p.publish(publication{topic: "", payload: "named", props: [][]byte{shortProp(pTopicAlias, alias)}})
		for range 2 {
			if listener.next("a message").topic != name {
				x.Differ("a topic alias stands for another topic")
			}
		}
	}
}

func aliasesEndWithConnection(x *Exam) {
	p, _ := aliases(x)
	p.publish(publication{topic: x.topic("a"), payload: "names", props: [][]byte{shortProp(pTopicAlias, 1)}})
	p.ping()
	p.leave()
	c := x.connect()
	c.rejects("a topic alias of another connection", c.publishBytes(publication{topic: "", payload: "x", props: [][]byte{shortProp(pTopicAlias, 1)}}))
}

func aliasZero(x *Exam) {
	c := x.connect()
	c.rejects("a topic alias of 0", c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{shortProp(pTopicAlias, 0)}}))
}

func aliasTooHigh(x *Exam) {
	c := x.connect()
	highest := number(c.given, pTopicAliasMaximum, 0)
	if highest == 0xffff {
		x.NoCase("any alias is allowed")
	}
	reason := c.rejects("a topic alias above Topic Alias Maximum",
		c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{shortProp(pTopicAlias, highest+1)}}))
	if reason != -1 && reason != 0x94 {
		x.Differ("DISCONNECT %#x for a topic alias that is too high", reason)
	}
}

// aliasesToClients stay within what the client takes.
func aliasesToClients(x *Exam) { sentAliases(x, 2) }

// noAliasesToClients that take none.
func noAliasesToClients(x *Exam) { sentAliases(x, 0) }

func sentAliases(x *Exam, highest int) {
	var change []func(*login)
	if highest > 0 {
		change = append(change, withProps(shortProp(pTopicAliasMaximum, highest)))
	}
	c := x.connect(change...)
	c.subscribe(x.topic("#"), 0)
	p := x.connect()
	names := map[int]string{}
	for range 3 {
		for _, name := range []string{"one", "two", "three", "four"} {
			p.say(x.topic(name), name)
			m := c.next("a message")
			if alias := number(m.props, pTopicAlias, -1); alias >= 0 {
				if alias == 0 || alias > highest {
					x.Differ("a topic alias that the client does not take")
				}
				if m.topic != "" {
					names[alias] = m.topic
				}
				m.topic = names[alias]
			}
			if m.topic != x.topic(name) {
				x.Differ("a message with another topic")
			}
		}
	}
}

// largePayloads arrive whole, with lengths of all widths, though they come in pieces.
func largePayloads(x *Exam) {
	listener, p := heard(x, 0)
	for _, n := range []int{0, 1, 100, 127, 128, 200, 16383, 16384, 100_000} {
		payload := strings.Repeat("p", n)
		packet := p.publishBytes(publication{topic: x.topic("a"), payload: payload})
		for i, piece := range [][]byte{packet[:1], packet[1:2], packet[2:min(len(packet), 50)], packet[min(len(packet), 50):]} {
			p.send(piece)
			if i == 1 {
				listener.ping() // something else meanwhile
			}
		}
		if listener.next("a message").payload != payload { // readPacket looks at the length
			x.Differ("a payload of %d bytes arrives otherwise", n)
		}
	}
}
