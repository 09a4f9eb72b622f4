package mqttconf

import "strings"

// wildcardInTopic ends the connection.
func wildcardInTopic(x *Exam) {
	for _, name := range []string{"a/+", "#", "a+b", "a/#"} {
		c := x.connect()
		c.rejects("a topic with a wildcard", c.publishBytes(publication{topic: x.topic(name), payload: "x"}))
		x.refusesWill("a will's topic with a wildcard", x.topic(name))
	}
}

// refusesWill differs unless a client with such a will is refused.
func (x *Exam) refusesWill(what, topic string) {
	l := login{name: x.name(), clean: true, will: &will{topic: topic, payload: "x"}}
	x.refusesConnect(what, l.encode(x.version))
}

// filterRefused differs unless that filter is refused, or ends the connection.
func filterRefused(x *Exam, what, name string) {
	c := x.connect()
	c.send(c.subscribeBytes(1, nil, filter{name, 0}), frame(tPingreq<<4))
	p, err := c.read()
	switch {
	case err != nil, p.kind() == tDisconnect:
	case p.kind() == tSuback && p.body[len(p.body)-1] >= 0x80:
	case p.kind() == tSuback:
		x.Differ("%s is granted", what)
	default:
		x.Differ("%s instead of SUBACK", typeName(p.kind()))
	}
}

func hashMisplaced(x *Exam) {
	for _, name := range []string{"a/#/b", "a#", "a/b#", "#/", "#a"} {
		filterRefused(x, "a filter with a # that is not its last level", x.topic(name))
	}
	wildcardsWork(x)
}

func plusMisplaced(x *Exam) {
	for _, name := range []string{"a+", "+a/b", "a/b+/c", "a/++"} {
		filterRefused(x, "a filter with a + that is no level", x.topic(name))
	}
	wildcardsWork(x)
}

// wildcardsWork where they may stand.
func wildcardsWork(x *Exam) {
	matches := map[string]string{"a/#": "a a/b a/b/c a/ ", "+": "a ", "+/+": "a/b a/ ", "a/+/c": "a/b/c ", "+/#": "a a/b a/b/c a/ ", "a/+": "a/b a/ "}
	for _, name := range []string{"a/#", "+", "+/+", "a/+/c", "+/#", "a/+"} {
		c := x.connect()
		c.subscribe(x.topic(name), 0)
		c.subscribe("end/"+x.topic("end"), 0)
		p := x.connect()
		for _, t := range []string{"a", "a/b", "a/b/c", "a/"} {
			p.say(x.topic(t), t)
		}
		p.say("end/"+x.topic("end"), "marker")
		got := ""
		for _, m := range c.upTo("marker") {
			got += m.payload + " "
		}
		if got != matches[name] {
			x.Differ("the filter %s matches %q, instead of %q", name, got, matches[name])
		}
	}
}

// dollarHidden from filters that begin with a wildcard, and not from others.
func dollarHidden(x *Exam) {
	name := "$" + x.topic("a")
	hidden, direct := x.connect(), x.connect()
	hidden.subscribe("#", 0)
	hidden.subscribe("+/"+strings.SplitN(name, "/", 2)[1], 0)
	direct.subscribe(name, 0)
	p := x.connect()
	p.say(name, "hidden")
	p.say(x.topic("b"), "marker "+x.topic("b"))
	for _, m := range hidden.upTo("marker " + x.topic("b")) {
		if m.topic == name {
			x.Differ("a topic that begins with $ matches a filter that begins with a wildcard")
		}
	}
	if direct.next("a message").payload != "hidden" {
		x.Differ("another message")
	}
}

// emptyNames end the connection.
func emptyNames(x *Exam) {
	c := x.connect()
	c.rejects("an empty topic", c.publishBytes(publication{topic: "", payload: "x"}))
	x.refusesWill("an empty will's topic", "")
	filterRefused(x, "an empty filter", "")
	works(x, x.connect())
}

// noNormalization: names that look alike are different, and come as they were sent.
func noNormalization(x *Exam) {
	names := []string{"é", "e\u0301", "E\u0301", "ﬁ", "fi", "a", "A", "a/", "/a", "a//b", "a/b", "a b", "a  b", "a.b", "a*b", "%20", "\u212b", "\u00c5", "\U0001f600"}
	c, p := x.connect(), x.connect()
	c.subscribe(x.topic("end"), 0)
	for _, name := range names {
		c.subscribe(x.topic(name), 0)
		for _, other := range names {
			p.say(x.topic(other), other)
		}
		p.say(x.topic("end"), "marker")
		got := c.upTo("marker")
		if len(got) != 1 || got[0].payload != name || got[0].topic != x.topic(name) {
			x.Differ("a subscription to %q hears %d of the topics that look like it", name, len(got))
		}
		c.unsubscribes(x.topic(name))
	}
}

// markKept: U+FEFF is a character as others.
func markKept(x *Exam) {
	for _, name := range []string{"\ufeffa", "a\ufeffb", "\ufeff"} {
		c, p := x.connect(), x.connect()
		c.subscribe(name+"/"+x.topic("+"), 0)
		p.say("a/"+x.topic("x"), "without")
		p.say("/"+x.topic("x"), "without")
		p.say(name+"/"+x.topic("x"), "with")
		if m := c.next("a message"); m.topic != name+"/"+x.topic("x") {
			x.Differ("U+FEFF in a topic is left out")
		}
	}
}

// Shared subscriptions.

func shareNameMissing(x *Exam) {
	filterRefused(x, "a shared subscription without a name", "$share//"+x.topic("a"))
	sharedOnce(x)
}

func shareNameBad(x *Exam) {
	for _, name := range []string{"$share/g+/" + x.topic("a"), "$share/g#/" + x.topic("a"), "$share/+/" + x.topic("a"), "$share/g/"} {
		filterRefused(x, "a shared subscription with a bad name, or without a filter", name)
	}
	sharedOnce(x)
}

// sharedOnce: one of the members gets a message.
func sharedOnce(x *Exam) {
	share := "$share/g" + x.name() + "/" + x.topic("a")
	one, two := x.connect(), x.connect()
	one.subscribe(share, 0)
	two.subscribe(share, 0)
	for _, c := range []*Client{one, two} {
		c.subscribe(x.topic("end"), 0)
	}
	p := x.connect()
	for range 10 {
		p.say(x.topic("a"), "x")
	}
	p.say(x.topic("end"), "marker")
	if n := len(one.upTo("marker")) + len(two.upTo("marker")); n != 10 {
		x.Differ("%d copies of 10 messages come to a group", n)
	}
}

// sharedQoS is that which the member was granted.
func sharedQoS(x *Exam) {
	for granted := range byte(2) {
		c := x.connect()
		c.subscribe("$share/g"+x.name()+"/"+x.topic("a"), granted)
		p := x.connect()
		for qos := range byte(3) {
			p.publish(publication{topic: x.topic("a"), payload: "x", qos: qos})
			if m := c.next("a message"); m.qos != min(qos, granted) {
				x.Differ("a message with QoS %d comes to a member with QoS %d with QoS %d", qos, granted, m.qos)
			}
		}
		c.leave()
	}
}

// sharedRefused: what one member refuses comes to no other.
func sharedRefused(x *Exam) {
	share := "$share/g" + x.name() + "/" + x.topic("a")
	one := x.connect()
	one.manual = true
	one.subscribe(share, 1)
	p := x.connect()
	p.publish(publication{topic: x.topic("a"), payload: "refused", qos: 1})
	m := one.next("a message")
	two := x.connect()
	two.subscribe(share, 1)
	one.send(frame(tPuback<<4, short(int(m.id)), []byte{0x80}))
	one.ping()
	one.leave()
	p.publish(publication{topic: x.topic("a"), payload: "marker", qos: 1})
	if len(two.upTo("marker")) > 0 {
		x.Differ("what one member of a group has refused comes to another")
	}
}
