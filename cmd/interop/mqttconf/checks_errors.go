package mqttconf

import "fmt"

// badStrings are no UTF-8 text: overlong, a surrogate, cut off, above the last code
// point, a byte that is in none.
var badStrings = []string{"a\xc0\x80b", "a\xed\xa0\x80b", "a\xe2\x82", "a\xf4\x90\x80\x80b", "a\xffb"}

// textEverywhere puts a string where text stands, each of which has to end the
// connection, or keep it from beginning.
func textEverywhere(x *Exam, bad, what string) {
	user := bad
	for _, l := range []*login{
		{name: bad, clean: true},
		{name: x.name(), clean: true, will: &will{topic: bad, payload: "x"}},
		{name: x.name(), clean: true, user: &user},
	} {
		x.refusesConnect(what, l.encode(x.version))
	}
	topicText(x, bad, what)
	filterText(x, bad, what)
	filterToTakeText(x, bad, what)
	if x.version != v5 {
		return
	}
	for _, prop := range [][]byte{userProp(bad, "x"), userProp("x", bad), textProp(pContentType, bad), textProp(pResponseTopic, bad)} {
		c := x.connect()
		c.rejects(what+" in a property", c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{prop}}))
	}
}

func topicText(x *Exam, bad, what string) {
	c := x.connect()
	c.rejects(what+" in a topic", c.publishBytes(publication{topic: bad, payload: "x"}))
}

func filterText(x *Exam, bad, what string) {
	c := x.connect()
	c.rejects(what+" in a filter", c.subscribeBytes(1, nil, filter{bad, 0}))
}

func filterToTakeText(x *Exam, bad, what string) {
	parts := [][]byte{short(1)}
	if x.version == v5 {
		parts = append(parts, block())
	}
	x.connect().rejects(what+" in a filter of UNSUBSCRIBE", frame(tUnsubscribe<<4|2, append(parts, text(bad))...))
}

const (
	badText = "text that is no UTF-8"
	nulText = "text with U+0000"
)

func illFormedText(x *Exam) {
	for _, bad := range badStrings {
		textEverywhere(x, bad, badText)
	}
}

func nulInText(x *Exam) { textEverywhere(x, "a\x00b", nulText) }

func nulInNames(x *Exam) {
	topicText(x, "a\x00b", nulText)
	filterText(x, "a\x00b", nulText)
	filterToTakeText(x, "a\x00b", nulText)
}

func each(check func(x *Exam, bad, what string)) func(*Exam) {
	return func(x *Exam) {
		for _, bad := range badStrings {
			check(x, bad, badText)
		}
	}
}

func illFormedTopic(x *Exam)        { each(topicText)(x) }
func illFormedFilter(x *Exam)       { each(filterText)(x) }
func illFormedFilterToTake(x *Exam) { each(filterToTakeText)(x) }

// illFormedProperty of a PUBLISH.
func illFormedProperty(x *Exam, prop func(bad string) []byte) {
	for _, bad := range append(badStrings, "a\x00b") {
		c := x.connect()
		c.rejects(badText+" in a property", c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{prop(bad)}}))
	}
}

func illFormedPair(x *Exam) {
	illFormedProperty(x, func(bad string) []byte { return userProp(bad, "x") })
	illFormedProperty(x, func(bad string) []byte { return userProp("x", bad) })
	for _, bad := range append(badStrings, "a\x00b") {
		for _, prop := range [][]byte{userProp(bad, "x"), userProp("x", bad)} {
			for _, kind := range []byte{0, tConnect, tPuback, tPubrec, tPubrel, tPubcomp, tSubscribe, tUnsubscribe, tDisconnect} {
				withProperties(x, kind, badText, prop)
			}
		}
	}
}

func illFormedResponseTopic(x *Exam) {
	illFormedProperty(x, func(bad string) []byte { return textProp(pResponseTopic, bad) })
}

func illFormedContentType(x *Exam) {
	illFormedProperty(x, func(bad string) []byte { return textProp(pContentType, bad) })
}

func illFormedInConnect(x *Exam, l func(bad string) *login) {
	for _, bad := range badStrings {
		login := l(bad)
		login.clean = true
		x.refusesConnect(badText, login.encode(x.version))
	}
}

func illFormedIdentifier(x *Exam) {
	illFormedInConnect(x, func(bad string) *login { return &login{name: bad} })
}

func illFormedWillTopic(x *Exam) {
	illFormedInConnect(x, func(bad string) *login { return &login{name: x.name(), will: &will{topic: bad}} })
}

func illFormedUser(x *Exam) {
	illFormedInConnect(x, func(bad string) *login { return &login{name: x.name(), user: &bad} })
}

// identifierRefused: one that no server can take.
func identifierRefused(x *Exam) {
	answer := x.refusesConnect("a client identifier with U+0000", (&login{name: "a\x00b", clean: true}).encode(x.version))
	if x.version == v311 && len(answer) >= 2 && answer[1] != 2 {
		x.Differ("CONNACK %d for a client identifier that is refused", answer[1])
	}
}

// flags of the fixed header that are reserved, in each type of packet.
func reservedFlags(x *Exam) {
	l := login{name: x.name(), clean: true}
	packet := l.encode(x.version)
	for _, bit := range []byte{1, 2, 4, 8} {
		bad := join(packet)
		bad[0] ^= bit
		x.refusesConnect("reserved flags of CONNECT", bad)
	}
	for _, kind := range []byte{tPuback, tPubrec, tPubrel, tPubcomp, tSubscribe, tUnsubscribe, tPingreq} {
		wrongFlags(x, kind)
	}
}

// wrongFlags of one type end the connection, each bit.
func wrongFlags(x *Exam, kind byte) (reasons []int) {
	for _, bit := range []byte{1, 2, 4, 8} {
		c := x.connect()
		bad := sample(c, kind)
		bad[0] ^= bit
		reasons = append(reasons, c.rejects("reserved flags of "+typeName(kind), bad))
	}
	return reasons
}

// sample is a good packet of that type.
func sample(c *Client, kind byte) []byte {
	switch kind {
	case tSubscribe:
		return c.subscribeBytes(9, nil, filter{c.x.topic("a"), 0})
	case tUnsubscribe:
		parts := [][]byte{short(9)}
		if c.x.version == v5 {
			parts = append(parts, block())
		}
		return frame(tUnsubscribe<<4|2, append(parts, text(c.x.topic("a")))...)
	case tPubrel:
		return frame(tPubrel<<4|2, short(9))
	case tPingreq, tDisconnect:
		return frame(kind << 4)
	case tAuth:
		return frame(tAuth<<4, []byte{0x18}, block(textProp(pAuthMethod, "none")))
	}
	return frame(kind<<4, short(9))
}

func pubrelFlags(x *Exam)      { wrongFlags(x, tPubrel) }
func subscribeFlags(x *Exam)   { wrongFlags(x, tSubscribe) }
func unsubscribeFlags(x *Exam) { wrongFlags(x, tUnsubscribe) }
func authFlags(x *Exam)        { wrongFlags(x, tAuth) }

// disconnectFlags: such a DISCONNECT is none, so the will is published.
func disconnectFlags(x *Exam) {
	for _, bit := range []byte{1, 2, 4, 8} {
		listener, c := lastWords(x, will{payload: "gone"})
		bad := sample(c, tDisconnect)
		bad[0] ^= bit
		reason := c.rejects("reserved flags of DISCONNECT", bad)
		if x.version == v5 && reason != 0x81 {
			x.Differ("no DISCONNECT 0x81 for reserved flags of DISCONNECT")
		}
		if listener.next("the will behind a DISCONNECT that is none").payload != "gone" {
			x.Differ("another message")
		}
	}
}

// flagsOfAnswers are as they have to be: readPacket looks at them.
func flagsOfAnswers(x *Exam) {
	answers(x)
	release(x)
	if x.version == v5 {
		farewell(x)
	}
}

// noPropertiesWritten is a length of 0.
func noPropertiesWritten(x *Exam) {
	for _, p := range answers(x) {
		if at := propertiesAt(p.kind()); (p.kind() == tSuback || p.kind() == tUnsuback || p.kind() == tConnack) && len(p.body) <= at {
			x.Differ("%s without a property length", typeName(p.kind()))
		}
	}
	listener, p := heard(x, 0)
	p.say(x.topic("a"), "x")
	if m := listener.next("a message"); len(m.props) > 0 || m.payload != "x" {
		x.Differ("a message with properties that nobody sent")
	}
}

// identifierZero ends the connection.
func identifierZero(x *Exam) {
	c := x.connect()
	zero := []byte{0, 0}
	none := []byte(nil)
	if x.version == v5 {
		none = block()
	}
	for _, b := range []broken{
		{"a SUBSCRIBE with the packet identifier 0", frame(tSubscribe<<4|2, zero, none, text(x.topic("a")), []byte{0})},
		{"an UNSUBSCRIBE with the packet identifier 0", frame(tUnsubscribe<<4|2, zero, none, text(x.topic("a")))},
		{"a PUBLISH with QoS 1 and the packet identifier 0", c.publishBytes(publication{topic: x.topic("a"), qos: 1})},
		{"a PUBLISH with QoS 2 and the packet identifier 0", c.publishBytes(publication{topic: x.topic("a"), qos: 2})},
	} {
		x.connect().rejects(b.what, b.packet)
	}
}

func qos3(x *Exam) {
	c := x.connect()
	c.rejects("a PUBLISH with QoS 3", c.publishBytes(publication{topic: x.topic("a"), qos: 3, id: 5}))
}

// topicFirst: a PUBLISH whose topic is cut off ends the connection.
func topicFirst(x *Exam) {
	x.connect().rejects("a PUBLISH without a topic", frame(tPublish<<4))
	x.connect().rejects("a PUBLISH whose topic is cut off", frame(tPublish<<4, short(9), []byte("abc")))
	illFormedTopic(x)
}

// malformed packets of all kinds end the connection.
func malformed(x *Exam) {
	for _, b := range []broken{
		{"a packet of type 0", frame(0)},
		{"a CONNACK from a client", frame(tConnack<<4, []byte{0, 0})},
		{"a SUBACK from a client", frame(tSuback<<4, short(9), []byte{0, 0})},
		{"an UNSUBACK from a client", frame(tUnsuback<<4, short(9), []byte{0, 0})},
		{"a PINGRESP from a client", frame(tPingresp << 4)},
		{"an AUTH, or a packet of type 15", frame(tAuth << 4)},
		{"a PUBACK of one byte", frame(tPuback<<4, []byte{9})},
		{"an empty PUBACK", frame(tPuback << 4)},
		{"an empty PUBREL", frame(tPubrel<<4 | 2)},
		{"an empty SUBSCRIBE", frame(tSubscribe<<4 | 2)},
		{"a PINGREQ with a payload", frame(tPingreq<<4, []byte{1})},
		{"a length of more than four bytes", []byte{tPuback << 4, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"a PUBLISH whose identifier is cut off", frame(tPublish<<4|2, text(x.topic("a")), []byte{1})},
	} {
		x.connect().rejects(b.what, b.packet)
	}
	identifierZero(x)
	qos3(x)
	if x.version == v311 {
		x.connect().rejects("a PUBACK of three bytes", frame(tPuback<<4, short(9), []byte{0}))
		return
	}
	x.connect().rejects("a PUBLISH without properties", frame(tPublish<<4, text(x.topic("a"))))
	x.connect().rejects("properties that are longer than their packet", frame(tPublish<<4, text(x.topic("a")), varint(50), []byte{1}))
	x.connect().rejects("a SUBSCRIBE without properties", frame(tSubscribe<<4|2, short(9)))
	misplacedProperties(x)
	valuesNotAllowed(x)
}

// valuesNotAllowed of properties and options.
func valuesNotAllowed(x *Exam) {
	for _, v := range []struct {
		kind byte
		what string
		prop []byte
	}{
		{tConnect, "a Receive Maximum of 0", shortProp(pReceiveMaximum, 0)},
		{tConnect, "a Maximum Packet Size of 0", longProp(pMaximumPacketSize, 0)},
		{tConnect, "a Request Response Information of 2", byteProp(pResponseInfo, 2)},
		{tConnect, "a Request Problem Information of 2", byteProp(pProblemInfo, 2)},
		{tConnect, "Authentication Data without a method", textProp(pAuthData, "x")},
		{0, "a Payload Format Indicator of 2", byteProp(pPayloadFormat, 2)},
		{tPublish, "a Payload Format Indicator of 2", byteProp(pPayloadFormat, 2)},
		{tSubscribe, "a subscription identifier of 0", varintProp(pSubscriptionID, 0)},
	} {
		withProperties(x, v.kind, v.what, v.prop)
	}
	// A session that ends with the connection cannot be kept by its DISCONNECT.
	withProperties(x, tDisconnect, "a Session Expiry Interval behind none in CONNECT", longProp(pSessionExpiry, 10))
	for _, options := range []byte{3, 0x30} {
		c := x.connect()
		c.rejects("subscription options that are not allowed", c.subscribeBytes(9, nil, filter{x.topic("a"), options}))
	}
}

// misplacedProperties: where each property may not stand, and twice where it may once.
func misplacedProperties(x *Exam) {
	for _, kind := range []byte{0, tConnect, tPublish, tPuback, tPubrec, tPubrel, tPubcomp, tSubscribe, tUnsubscribe, tDisconnect} {
		for id := byte(0); id <= pShared+1; id++ {
			allowed := contains(clientProperties[kind], id)
			switch {
			case id == pAuthMethod && kind == tConnect, id == pAuthData && kind == tConnect, allowed && id == pUser:
			case allowed:
				withProperties(x, kind, fmt.Sprintf("property %#x twice", id), sampleProp(id), sampleProp(id))
			default:
				withProperties(x, kind, fmt.Sprintf("property %#x", id), sampleProp(id))
			}
		}
	}
}

// withProperties sends a packet that those properties have to make a bad one.
func withProperties(x *Exam, kind byte, what string, props ...[]byte) {
	switch kind {
	case 0:
		l := login{name: x.name(), clean: true, will: &will{topic: x.topic("w"), props: props}}
		x.refusesConnect(what+" in a will", l.encode(x.version))
		return
	case tConnect:
		l := login{name: x.name(), clean: true, props: props}
		x.refusesConnect(what+" in CONNECT", l.encode(x.version))
		return
	}
	c := x.connect()
	what += " in " + typeName(kind)
	switch kind {
	case tPublish:
		c.rejects(what, c.publishBytes(publication{topic: x.topic("a"), payload: "x", props: props}))
	case tSubscribe:
		c.rejects(what, c.subscribeBytes(9, props, filter{x.topic("a"), 0}))
	case tUnsubscribe:
		c.rejects(what, frame(tUnsubscribe<<4|2, short(9), block(props...), text(x.topic("a"))))
	case tPubrel:
		c.rejects(what, frame(tPubrel<<4|2, short(9), []byte{0}, block(props...)))
	case tDisconnect:
		// A DISCONNECT ends the connection in any case: a bad one is told by the
		// reason.
		if reason := c.rejects(what, frame(tDisconnect<<4, []byte{0}, block(props...))); reason < 0x80 {
			x.Differ("%s is taken", what)
		}
	default:
		c.rejects(what, frame(kind<<4, short(9), []byte{0}, block(props...)))
	}
}

// identifierFromClient: subscription identifiers come from servers only.
func identifierFromClient(x *Exam) {
	c := x.connect()
	c.rejects("a PUBLISH with a subscription identifier",
		c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{varintProp(pSubscriptionID, 1)}}))
}

// authWithoutMethod ends the connection.
func authWithoutMethod(x *Exam) {
	for _, code := range []byte{0x00, 0x18, 0x19} {
		x.connect().rejects("an AUTH without an authentication method", frame(tAuth<<4, []byte{code}, block(textProp(pAuthMethod, "none"))))
	}
}

// noAuthUnasked: the server begins none of its own.
func noAuthUnasked(x *Exam) {
	c := x.connect() // an AUTH here is no CONNACK
	if _, ok := find(c.given, pAuthMethod); ok {
		x.Differ("an Authentication Method in CONNACK that nobody asked for")
	}
	works(x, c)
}

// methodRefused: an authentication method that the server does not know.
func methodRefused(x *Exam) {
	l := login{name: x.name(), clean: true, props: [][]byte{textProp(pAuthMethod, "no such method"), textProp(pAuthData, "x")}}
	answer := x.refusesConnect("an authentication method that does not exist", l.encode(x.version))
	if len(answer) >= 2 && answer[1] != 0x8c && answer[1] != 0x87 {
		x.Differ("CONNACK %#x for an authentication method that does not exist", answer[1])
	}
}

// Ends of connections, with MQTT 5.

// disconnectCodes are those of the standard, for some errors.
func disconnectCodes(x *Exam) {
	known := []byte{0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2}
	c := x.connect()
	for _, b := range []broken{
		{"a second CONNECT", (&login{name: x.name(), clean: true}).encode(x.version)},
		{"a PUBLISH with QoS 3", c.publishBytes(publication{topic: x.topic("a"), qos: 3, id: 5})},
		{"an empty SUBSCRIBE", frame(tSubscribe<<4 | 2)},
		{"a topic with a wildcard", c.publishBytes(publication{topic: x.topic("#")})},
		{"a topic alias of 0", c.publishBytes(publication{topic: x.topic("a"), props: [][]byte{shortProp(pTopicAlias, 0)}})},
	} {
		if reason := x.connect().rejects(b.what, b.packet); reason != -1 && !contains(known, byte(reason)) {
			x.Differ("DISCONNECT %#x for %s", reason, b.what)
		}
	}
}

// disconnectLast: nothing comes behind it, and then the connection is closed.
func disconnectLast(x *Exam) {
	name := x.name()
	c := x.connect(withName(name))
	c.subscribe(x.topic("a"), 0)
	p := x.connect()
	p.say(x.topic("a"), "before")
	x.connect(withName(name)) // takes it over
	p.say(x.topic("a"), "behind")
	over := false
	for {
		packet, err := c.read()
		switch {
		case err == errGone && over:
			return
		case err == errGone:
			x.NoCase("the server sends no DISCONNECT here")
		case err != nil:
			x.Differ("the connection stays open behind a DISCONNECT")
		case over:
			x.Differ("%s behind a DISCONNECT", typeName(packet.kind()))
		}
		over = packet.kind() == tDisconnect
	}
}

// noDisconnectBeforeConnack: who is refused hears CONNACK or nothing.
func noDisconnectBeforeConnack(x *Exam) {
	connectValidated(x)
	strangersRefused(x)
	x.dial().rejectsSilently("a PINGREQ before CONNECT", frame(tPingreq<<4))
	x.dial().rejectsSilently("a DISCONNECT before CONNECT", frame(tDisconnect<<4))
}

// rejectsSilently is rejects, without a DISCONNECT.
func (c *Client) rejectsSilently(what string, packet []byte) {
	if c.rejects(what, packet) != -1 {
		c.x.Differ("a DISCONNECT for %s", what)
	}
}

// refusedMeansClosed: a CONNACK or DISCONNECT with a failure is followed by the end.
func refusedMeansClosed(x *Exam) {
	strangersRefused(x) // looks for the end behind the CONNACK
	protocolLevel(x)
	farewell(x)
}

// pinged: a PINGREQ has a PINGRESP, each.
func (x *Exam) pinged() {
	c := x.connect()
	for range 3 {
		c.ping()
	}
	c.send(frame(tPingreq<<4), frame(tPingreq<<4))
	c.expect(tPingresp)
	c.expect(tPingresp)
}
