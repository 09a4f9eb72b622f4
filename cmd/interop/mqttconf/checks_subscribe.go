package mqttconf

import (
	"slices"
	"strconv"
)

// subackWorks: SUBACK comes, and the subscription is made.
func subackWorks(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a"), 1)
	x.connect().publish(publication{topic: x.topic("a"), payload: "heard", qos: 1})
	if c.next("a message").payload != "heard" {
		x.Differ("another message")
	}
}

// subscriptionReplaced by one with the same filter: one copy, with the new QoS.
func subscriptionReplaced(x *Exam) {
	c := x.connect()
	p := x.connect()
	for _, qos := range []byte{0, 1, 0} {
		c.subscribe(x.topic("a/+"), qos)
		p.publish(publication{topic: x.topic("a/b"), payload: "once", qos: 1})
		p.publish(publication{topic: x.topic("a/b"), payload: "marker", qos: 1})
		got := c.upTo("marker")
		if len(got) != 1 || got[0].qos != qos {
			x.Differ("a subscription that is made again is another one beside, or has the old QoS")
		}
	}
	c.unsubscribes(x.topic("a/+"))
	c.subscribe(x.topic("end"), 0)
	p.say(x.topic("a/b"), "x")
	p.say(x.topic("end"), "marker")
	if len(c.upTo("marker")) > 0 {
		x.Differ("of a subscription that was made again one is left")
	}
}

// replacedWithoutLoss: what is retained comes again, and nothing live is missed.
func replacedWithoutLoss(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	c := x.connect()
	const n, again = 30, 5
	var burst []byte
	for i := range n {
		burst = append(burst, p.publishBytes(publication{topic: x.topic("a"), payload: strconv.Itoa(i), qos: 1, id: 100 + i})...)
	}
	kept, seen := 0, 0
	for i := range again {
		c.subscribe(x.topic("a"), 1)
		if i == 0 {
			p.send(burst)
		}
		for kept <= i || i == again-1 && seen < n {
			switch m := c.next("a retained or live message"); m.payload {
			case "kept":
				kept++
			case strconv.Itoa(seen):
				seen++
			default:
				x.Differ("a message is missed while a subscription is replaced")
			}
		}
	}
}

// replacedAll is both, for a standard that has them in one statement.
func replacedAll(x *Exam) {
	subscriptionReplaced(x)
	replacedWithoutLoss(x)
}

// manyFilters of one SUBSCRIBE are as many SUBSCRIBEs with one answer.
func manyFilters(x *Exam) {
	c := x.connect()
	codes := c.subscribes(filter{x.topic("a"), 0}, filter{x.topic("b"), 1}, filter{x.topic("a"), 1}, filter{x.topic("c"), 0})
	if !slices.Equal(codes, []byte{0, 1, 1, 0}) {
		x.Differ("SUBACK has other codes than the filters ask for")
	}
	c.ping() // and no second SUBACK
	p := x.connect()
	for _, name := range []string{"a", "b", "c"} {
		p.publish(publication{topic: x.topic(name), payload: name, qos: 1})
		want := byte(1)
		if name == "c" {
			want = 0
		}
		if m := c.next("a message"); m.payload != name || m.qos != want {
			x.Differ("filters of one SUBSCRIBE have other subscriptions than of one each")
		}
	}
}

// codeForEach filter, with the QoS that is granted or a failure.
func codeForEach(x *Exam) {
	c := x.connect()
	filters := []filter{{x.topic("a"), 1}, {x.topic("b"), 0}, {x.topic("c"), 1}}
	if x.target.Denied != "" {
		filters = append(filters, filter{x.target.Denied, 1})
	}
	codes := c.subscribes(filters...)
	if len(codes) != len(filters) {
		x.Differ("SUBACK has %d codes for %d filters", len(codes), len(filters))
	}
	x.grantedAsTold(c, filters, codes)
}

// grantedAsTold publishes to each and sees that the code was true.
func (x *Exam) grantedAsTold(c *Client, filters []filter, codes []byte) {
	p := x.connect()
	for i, f := range filters {
		if codes[i] >= 0x80 {
			if f.name != x.target.Denied {
				x.Differ("a subscription is refused with %#x", codes[i])
			}
			continue
		}
		if codes[i] > f.options&3 {
			x.Differ("a higher QoS is granted than was asked for")
		}
		if f.name == x.target.Denied {
			continue // granted, for what nobody may publish
		}
		p.publish(publication{topic: f.name, payload: "x", qos: 2})
		if m := c.next("a message"); m.qos != codes[i] {
			x.Differ("a message with QoS %d for a subscription that was granted %d", m.qos, codes[i])
		}
	}
}

// qosGranted 0, 1 and 2: which are granted or lowered, and none refused.
func qosGranted(x *Exam) {
	c := x.connect()
	filters := []filter{{x.topic("a"), 0}, {x.topic("b"), 1}, {x.topic("c"), 2}}
	x.grantedAsTold(c, filters, c.subscribes(filters...))
}

// codesInOrder of the filters.
func codesInOrder(x *Exam) {
	c := x.connect()
	filters := []filter{{x.topic("a"), 1}, {x.topic("b"), 0}, {x.topic("c"), 1}, {x.topic("d"), 0}, {x.topic("e"), 0}, {x.topic("f"), 1}}
	codes := c.subscribes(filters...)
	if !slices.Equal(codes, []byte{1, 0, 1, 0, 0, 1}) {
		x.Differ("codes of SUBACK are not in the order of the filters")
	}
	x.grantedAsTold(c, filters, codes)
}

// subackCodes are those of the standard, for what is granted and what is not.
func subackCodes(x *Exam) {
	known := []byte{0, 1, 2, 0x80}
	if x.version == v5 {
		known = []byte{0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2}
	}
	filters := []filter{{x.topic("a"), 0}, {x.topic("b"), 1}, {x.topic("c"), 2}}
	if x.target.Denied != "" {
		filters = append(filters, filter{x.target.Denied, 1})
	}
	c := x.connect()
	codes := c.subscribes(filters...)
	for _, code := range codes {
		if !slices.Contains(known, code) {
			x.Differ("SUBACK %#x", code)
		}
	}
	if x.target.Denied != "" && codes[3] < 0x80 {
		x.connect().say(x.target.Denied, "x") // which may end the connection
		x.connect().say(x.topic("a"), "marker")
		if len(c.upTo("marker")) > 0 {
			x.Differ("a subscription that is not allowed hears something")
		}
	}
	x.grantedAsTold(c, filters[:2], codes[:2])
}

// qosIsTheLower of that of the message and that of the subscription.
func qosIsTheLower(x *Exam) {
	p := x.connect()
	for granted := range byte(2) {
		c := x.connect()
		c.subscribe(x.topic("a"), granted)
		for qos := range byte(3) {
			p.publish(publication{topic: x.topic("a"), payload: "x", qos: qos})
			if m := c.next("a message"); m.qos != min(qos, granted) {
				x.Differ("a message with QoS %d comes to a subscription with QoS %d with QoS %d", qos, granted, m.qos)
			}
		}
	}
}

// overlapping subscriptions: the message comes with the highest QoS of them.
func overlapping(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a/#"), 0)
	c.subscribe(x.topic("a/+"), 1)
	c.subscribe(x.topic("a/b"), 0)
	p := x.connect()
	p.publish(publication{topic: x.topic("a/b"), payload: "x", qos: 1})
	c.subscribe(x.topic("end"), 1)
	p.publish(publication{topic: x.topic("end"), payload: "marker", qos: 1})
	highest := byte(0)
	got := c.upTo("marker")
	for _, m := range got {
		highest = max(highest, m.qos)
	}
	if len(got) == 0 || highest != 1 {
		x.Differ("a message does not come with the highest QoS of the subscriptions that match")
	}
}

// refusedNoHarm: a publication that is not allowed is acknowledged, or ends the
// connection, and goes nowhere.
func refusedNoHarm(x *Exam) {
	if x.target.Denied == "" {
		x.NoCase("nothing is refused here")
	}
	listener := x.connect()
	listener.subscribe(x.topic("#"), 1)
	p := x.connect()
	p.send(p.publishBytes(publication{topic: x.target.Denied, payload: "x", qos: 1, id: 9}))
	if answer, err := p.read(); err == nil && answer.kind() != tPuback {
		x.Differ("%s instead of PUBACK", typeName(answer.kind()))
	}
	x.connect().publish(publication{topic: x.topic("a"), payload: "marker", qos: 1})
	if len(listener.upTo("marker")) > 0 {
		x.Differ("another message")
	}
}

// Rules of SUBSCRIBE and UNSUBSCRIBE that break the connection.

func noFilter(x *Exam) {
	c := x.connect()
	c.rejects("a SUBSCRIBE without a filter", c.subscribeBytes(1, nil))
}

func noFilterToTake(x *Exam) {
	c := x.connect()
	parts := [][]byte{short(1)}
	if x.version == v5 {
		parts = append(parts, block())
	}
	c.rejects("an UNSUBSCRIBE without a filter", frame(tUnsubscribe<<4|2, parts...))
}

func reservedOptions(x *Exam) {
	bad := []byte{0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 3}
	if x.version == v5 {
		bad = []byte{0x40, 0x80, 0xc0}
	}
	for _, options := range bad {
		c := x.connect()
		c.rejects("reserved bits in the options of a subscription", c.subscribeBytes(1, nil, filter{x.topic("a"), options}))
	}
}

// No Local.

func noLocalHeeded(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a"), 1|noLocal)
	c.publish(publication{topic: x.topic("a"), payload: "own", qos: 1})
	x.connect().publish(publication{topic: x.topic("a"), payload: "marker", qos: 1})
	if len(c.upTo("marker")) > 0 {
		x.Differ("a client hears itself in spite of No Local")
	}
	works(x, c) // where it has not asked for that
}

func noLocalShared(x *Exam) {
	c := x.connect()
	c.rejects("No Local for a shared subscription", c.subscribeBytes(1, nil, filter{"$share/g/" + x.topic("a"), noLocal}))
}

// UNSUBSCRIBE.

// comparedExactly: a filter is taken away by its own name only.
func comparedExactly(x *Exam) {
	c := x.connect()
	c.subscribe(x.topic("a/b"), 0)
	p := x.connect()
	for _, other := range []string{"a/+", "a/#", "#", "A/b", "a/b/", "a/", "/a/b"} {
		c.unsubscribes(x.topic(other))
	}
	p.say(x.topic("a/b"), "still")
	if c.next("a message").payload != "still" {
		x.Differ("another message")
	}
	takesAway(x, c, p, "a/b")
	c.subscribe(x.topic("a/+"), 0)
	c.unsubscribes(x.topic("a/b"))
	p.say(x.topic("a/b"), "still")
	if c.next("a message").payload != "still" {
		x.Differ("another message")
	}
	takesAway(x, c, p, "a/+")
}

// takesAway unsubscribes, and differs if the filter hears something still.
func takesAway(x *Exam, c, p *Client, name string) {
	c.unsubscribes(x.topic(name))
	c.subscribe(x.topic("end"), 0)
	p.say(x.topic("a/b"), "x")
	p.say(x.topic("end"), "marker")
	if len(c.upTo("marker")) > 0 {
		x.Differ("messages come behind an UNSUBACK")
	}
}

// unsubscribed hears no more.
func unsubscribed(x *Exam) {
	c, p := x.connect(), x.connect()
	c.subscribe(x.topic("a/b"), 1)
	p.publish(publication{topic: x.topic("a/b"), payload: "before", qos: 1})
	if c.next("a message").payload != "before" {
		x.Differ("another message")
	}
	takesAway(x, c, p, "a/b")
}

// completesUnsubscribed: what it has begun to send with QoS 2 it sees through.
func completesUnsubscribed(x *Exam) {
	listener, m := exactly(x)
	listener.unsubscribes(x.topic("a"))
	listener.acknowledge(m)
	listener.expect(tPubrel)
	listener.send(frame(tPubcomp<<4, short(int(m.id))))
	listener.ping()
}

// unsubackAlways, though there was no such subscription.
func unsubackAlways(x *Exam) {
	c := x.connect()
	codes := c.unsubscribes(x.topic("never"))
	if x.version == v5 && !slices.Equal(codes, []byte{0x11}) {
		x.Differ("UNSUBACK does not say that there was no subscription")
	}
	unsubscribed(x)
}

// manyToTake of one UNSUBSCRIBE are as many of one each, with one answer.
func manyToTake(x *Exam) {
	c, p := x.connect(), x.connect()
	c.subscribe(x.topic("a/b"), 0)
	c.subscribe(x.topic("c"), 0)
	c.subscribe(x.topic("d"), 0)
	codes := c.unsubscribes(x.topic("a/b"), x.topic("never"), x.topic("c"))
	if x.version == v5 && !slices.Equal(codes, []byte{0, 0x11, 0}) {
		x.Differ("codes of UNSUBACK are not those of the filters, in their order")
	}
	c.ping()
	for _, name := range []string{"a/b", "c"} {
		p.say(x.topic(name), "x")
	}
	p.say(x.topic("d"), "marker")
	if len(c.upTo("marker")) > 0 {
		x.Differ("messages come behind an UNSUBACK")
	}
}

// Subscription identifiers of MQTT 5.

// identified subscribes with an identifier.
func (c *Client) identified(id int, f filter) {
	if number(c.given, pIdentifiers, 1) == 0 {
		c.x.NoCase("the server has no subscription identifiers, and says so")
	}
	codes := c.subscribed(c.subscribeBytes(c.newID(), [][]byte{varintProp(pSubscriptionID, id)}, f))
	if len(codes) != 1 || codes[0] >= 0x80 {
		c.x.Differ("a subscription with an identifier is refused")
	}
}

// ids are the subscription identifiers of messages, sorted.
func ids(messages ...message) (all []int) {
	for _, m := range messages {
		for _, p := range m.props {
			if p.id == pSubscriptionID {
				n, _, _ := cutVarint(p.value)
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return all
}

// identifiersSent: those of all subscriptions that match and have one.
func identifiersSent(x *Exam) {
	c := x.connect()
	c.identified(7, filter{x.topic("a/#"), 1})
	c.identified(268_435_455, filter{x.topic("a/+"), 0})
	c.subscribe(x.topic("a/b"), 0)
	c.subscribe(x.topic("end"), 0)
	p := x.connect()
	p.publish(publication{topic: x.topic("a/b"), payload: "x"})
	p.say(x.topic("end"), "marker")
	got := c.upTo("marker")
	if !slices.Equal(ids(got...), []int{7, 268_435_455}) {
		x.Differ("not the identifiers of the subscriptions that match")
	}
}
