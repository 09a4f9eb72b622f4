package mqttconf

import (
	"strings"
	"time"
)

// broken is a packet that breaks a rule.
type broken struct {
	what   string
	packet []byte
}

// firstIsConnect: whatever else comes first ends the connection.
func firstIsConnect(x *Exam) {
	c := x.connect()
	for _, b := range []broken{
		{"a PINGREQ before CONNECT", frame(tPingreq << 4)},
		{"a PUBLISH before CONNECT", c.publishBytes(publication{topic: x.topic("a"), payload: "x"})},
		{"a SUBSCRIBE before CONNECT", c.subscribeBytes(1, nil, filter{x.topic("a"), 0})},
	} {
		x.dial().rejects(b.what, b.packet)
	}
}

// secondConnect ends the connection, and has no second CONNACK.
func secondConnect(x *Exam) {
	c := x.connect()
	l := &login{name: x.name(), clean: true}
	c.send(l.encode(x.version), frame(tPingreq<<4))
	for _, p := range c.ends("a second CONNECT") {
		if p.kind() == tConnack {
			x.Differ("a second CONNACK")
		}
	}
}

// protocolName: another one is not served as MQTT.
func protocolName(x *Exam) {
	for _, name := range []string{"MQTX", "mqtt", "", "MQTTMQTT"} {
		x.refusesConnect("another protocol name", rawConnect(name, x.version, flagClean, 0, nil, text(x.name())))
	}
}

// protocolLevel: one that does not exist is refused.
func protocolLevel(x *Exam) {
	for _, level := range []byte{0, 6, 127} {
		answer := x.refusesConnect("another protocol level", rawConnect("MQTT", level, flagClean, 0, nil, text(x.name())))
		if x.version == v311 && (len(answer) < 2 || answer[1] != 1) {
			x.Differ("no CONNACK 1 for an unknown protocol level")
		}
	}
}

// reservedFlag of CONNECT has to be 0.
func reservedFlag(x *Exam) {
	x.refusesConnect("the reserved flag", rawConnect("MQTT", x.version, flagClean|flagReserved, 0, nil, text(x.name())))
}

// willFlagsWithoutWill are refused, each alone.
func willQoSWithoutWill(x *Exam) {
	for qos := range byte(3) {
		x.refusesConnect("a will QoS without a will", rawConnect("MQTT", x.version, flagClean|(qos+1)*flagWillQoS, 0, nil, text(x.name())))
	}
}

func willRetainWithoutWill(x *Exam) {
	x.refusesConnect("will retain without a will", rawConnect("MQTT", x.version, flagClean|flagWillRetain, 0, nil, text(x.name())))
}

// noWillAtAll is what both come to, with the fields.
func noWillAtAll(x *Exam) {
	willQoSWithoutWill(x)
	willRetainWithoutWill(x)
	x.refusesConnect("fields of a will without its flag",
		rawConnect("MQTT", x.version, flagClean, 0, nil, text(x.name()), text(x.topic("w")), text("gone")))
}

// willQoS 3 is refused, 0 to 2 are taken.
func willQoS(x *Exam) {
	fields := [][]byte{text(x.name())}
	if x.version == v5 {
		fields = append(fields, block())
	}
	fields = append(fields, text(x.topic("w")), text("gone"))
	x.refusesConnect("a will QoS of 3", rawConnect("MQTT", x.version, flagClean|flagWill|3*flagWillQoS, 0, nil, fields...))
	listener := x.connect()
	listener.subscribe(x.topic("w"), 1)
	for qos := range byte(3) {
		x.connect(withWill(will{topic: x.topic("w"), payload: "gone", qos: qos})).drop()
		if m := listener.next("the will"); m.qos != min(qos, 1) {
			x.Differ("a will with QoS %d comes with QoS %d", qos, m.qos)
		}
	}
}

// willFieldsMissing: a will's flag without its fields is refused.
func willFieldsMissing(x *Exam) {
	x.refusesConnect("a will's flag without a will", rawConnect("MQTT", x.version, flagClean|flagWill, 0, nil, text(x.name())))
	fields := [][]byte{text(x.name())}
	if x.version == v5 {
		fields = append(fields, block())
	}
	x.refusesConnect("a will without a payload", rawConnect("MQTT", x.version, flagClean|flagWill, 0, nil, append(fields, text(x.topic("w")))...))
	willPublished(x)
}

// Flags of user name and password, and fields that do not go with them.

func userWithoutFlag(x *Exam) {
	x.refusesConnect("a user name without its flag", rawConnect("MQTT", x.version, flagClean, 0, nil, text(x.name()), text("u")))
}

func userMissing(x *Exam) {
	x.refusesConnect("a user name's flag without a user name", rawConnect("MQTT", x.version, flagClean|flagUser, 0, nil, text(x.name())))
}

func passwordWithoutFlag(x *Exam) {
	x.refusesConnect("a password without its flag", rawConnect("MQTT", x.version, flagClean|flagUser, 0, nil, text(x.name()), text("u"), text("p")))
}

func passwordMissing(x *Exam) {
	x.refusesConnect("a password's flag without a password", rawConnect("MQTT", x.version, flagClean|flagUser|flagPassword, 0, nil, text(x.name()), text("u")))
}

func passwordWithoutUser(x *Exam) {
	x.refusesConnect("a password without a user name", rawConnect("MQTT", x.version, flagClean|flagPassword, 0, nil, text(x.name()), text("p")))
}

// orderOfFields: a CONNECT with all of them is understood.
func orderOfFields(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("w"), 0)
	l := &login{name: x.name(), clean: true, will: &will{topic: x.topic("w"), payload: "last words"}}
	c := x.dial()
	c.send(l.encode(x.version))
	c.welcomed()
	c.ping()
	c.drop()
	if m := listener.next("the will"); m.payload != "last words" || m.topic != x.topic("w") {
		x.Differ("topic or payload of a will come from other fields")
	}
	// With user name and password behind, which are wrong: they are found where
	// they stand.
	user, password := "stranger", "wrong"
	l.name, l.user, l.password = x.name(), &user, &password
	x.refusesConnect("a stranger's user name", l.encode(x.version))
}

// identifierMissing: a CONNECT without any payload is refused.
func identifierMissing(x *Exam) {
	x.refusesConnect("no client identifier", rawConnect("MQTT", x.version, flagClean, 0, nil))
	x.refusesConnect("a client identifier that is cut off", rawConnect("MQTT", x.version, flagClean, 0, nil, short(5), []byte("abc")))
}

// identifiersAllowed are those that any server has to take.
func identifiersAllowed(x *Exam) {
	const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	one := "a"
	if x.version == v5 {
		one = "Z"
	}
	for _, name := range []string{one, all[:23], all[23:46], all[39:]} {
		if len(name) > 1 && x.version == v5 {
			name = name[1:] + "5"
		}
		c := x.connect(withName(name))
		works(x, c)
		c.leave()
	}
}

// identifierAssigned: a client without one gets one of its own.
func identifierAssigned(x *Exam) {
	one, two := x.connect(withName("")), x.connect(withName(""))
	works(x, one) // not taken over by the other
	works(x, two)
	if x.version != v5 {
		return
	}
	first, ok := find(one.given, pAssignedID)
	second, also := find(two.given, pAssignedID)
	if !ok || !also || len(first) == 0 {
		x.Differ("CONNACK has no Assigned Client Identifier")
	}
	if string(first) == string(second) {
		x.Differ("two clients have the same Assigned Client Identifier")
	}
	// It is the identifier: who connects with it takes the connection over.
	x.connect(withName(string(first)))
	one.ends("another client with its Assigned Client Identifier")
}

// identifierNeedsClean of MQTT 3.1.1: none goes with a session that is kept.
func identifierNeedsClean(x *Exam) {
	answer := x.refusesConnect("no client identifier and a session to keep", rawConnect("MQTT", x.version, 0, 0, nil, text("")))
	if len(answer) < 2 || answer[1] != 2 {
		x.Differ("no CONNACK 2 for an empty client identifier with a session to keep")
	}
}

// identifierIsState: the same identifier is the same client, another one is not.
func identifierIsState(x *Exam) {
	name := x.name()
	one, other := x.connect(withName(name)), x.connect(withName(name+"x"))
	works(x, one)
	x.connect(withName(name))
	one.ends("another client with its client identifier")
	works(x, other)
}

// takenOver: the client that was there before is ended.
func takenOver(x *Exam) {
	name := x.name()
	old := x.connect(withName(name))
	fresh := x.connect(withName(name))
	reason := -1
	for _, p := range old.ends("another client with its client identifier") {
		if p.kind() == tDisconnect && len(p.body) > 0 {
			reason = int(p.body[0])
		}
	}
	if x.version == v5 && reason != 0x8e {
		x.Differ("no DISCONNECT 0x8e for a session that is taken over")
	}
	works(x, fresh)
}

// connectValidated: a CONNECT that is none is refused, by MQTT 3.1.1 without an
// answer.
func connectValidated(x *Exam) {
	good := &login{name: x.name(), clean: true}
	packet := good.encode(x.version)
	for _, b := range []broken{
		{"a CONNECT with bytes behind its end", rawConnect("MQTT", x.version, flagClean, 0, nil, text(x.name()), []byte{1, 2, 3})},
		{"a CONNECT that is cut off", frame(tConnect<<4, packet[2:8])},
		{"an empty CONNECT", frame(tConnect << 4)},
		{"a CONNECT with the reserved flag", rawConnect("MQTT", x.version, flagClean|flagReserved, 0, nil, text(x.name()))},
		{"a CONNECT with a will QoS of 3", rawConnect("MQTT", x.version, flagClean|3*flagWillQoS, 0, nil, text(x.name()))},
	} {
		if answer := x.refusesConnect(b.what, b.packet); answer != nil && x.version == v311 {
			x.Differ("a CONNACK for %s", b.what)
		}
	}
}

// strangersRefused: who is not known is not let in.
func strangersRefused(x *Exam) {
	user, password := "stranger", "wrong"
	l := &login{name: x.name(), clean: true, user: &user, password: &password}
	answer := x.refusesConnect("a stranger's user name", l.encode(x.version))
	if len(answer) < 2 {
		return
	}
	if answer[0] != 0 {
		x.Differ("Session Present in a CONNACK that refuses")
	}
	if x.version == v311 && answer[1] != 4 && answer[1] != 5 || x.version == v5 && answer[1] != 0x86 && answer[1] != 0x87 {
		x.Differ("CONNACK %#x for a stranger's user name", answer[1])
	}
}

// welcomeWorks: who is let in is told so, and served.
func welcomeWorks(x *Exam) {
	c := x.connect()
	if c.present() {
		x.Differ("Session Present for a client that was never there")
	}
	works(x, c)
}

// ignoredBehindRefusal: what follows a CONNECT that is refused is not done.
func ignoredBehindRefusal(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("a"), 0)
	user, password := "stranger", "wrong"
	l := &login{name: x.name(), clean: true, user: &user, password: &password}
	x.refusesConnect("a stranger's user name", l.encode(x.version), listener.publishBytes(publication{topic: x.topic("a"), payload: "smuggled"}))
	x.connect().say(x.topic("a"), "marker")
	if len(listener.upTo("marker")) > 0 {
		x.Differ("what came behind a CONNECT that was refused was published")
	}
}

// connackFirst: it comes before all else, whatever a client does not wait with.
func connackFirst(x *Exam) {
	x.connect().publish(publication{topic: x.topic("kept"), payload: "kept", qos: 1, retain: true})
	c := x.dial()
	l := &login{name: x.name(), clean: true}
	c.send(l.encode(x.version), c.subscribeBytes(c.newID(), nil, filter{x.topic("#"), 0}),
		c.publishBytes(publication{topic: x.topic("live"), payload: "live"}), frame(tPingreq<<4))
	p, err := c.read()
	if err != nil || p.kind() != tConnack {
		x.Differ("%s comes first", typeName(p.kind()))
	}
	c.answered(tSuback)
	seen := map[string]bool{}
	for len(seen) < 2 {
		for len(c.inbox) == 0 {
			c.step("a message")
		}
		seen[c.inbox[0].payload], c.inbox = true, c.inbox[1:]
	}
}

// ackFlagsReserved: seven bits of CONNACK are 0.
func ackFlagsReserved(x *Exam) {
	if flags := x.connect().connack.body[0]; flags&^1 != 0 {
		x.Differ("reserved bits of CONNACK: %#x", flags)
	}
	user, password := "stranger", "wrong"
	l := &login{name: x.name(), clean: true, user: &user, password: &password}
	if answer := x.refusesConnect("a stranger's user name", l.encode(x.version)); len(answer) > 0 && answer[0]&^1 != 0 {
		x.Differ("reserved bits of CONNACK: %#x", answer[0])
	}
}

// connackCodes of refusals are those of the standard.
func connackCodes(x *Exam) {
	known := "\x01\x02\x03\x04\x05"
	if x.version == v5 {
		known = "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f"
	}
	user, password := "stranger", "wrong"
	stranger := &login{name: x.name(), clean: true, user: &user, password: &password}
	for _, b := range []broken{
		{"a stranger's user name", stranger.encode(x.version)},
		{"a protocol level of 6", rawConnect("MQTT", 6, flagClean, 0, nil, text(x.name()))},
		{"the reserved flag", rawConnect("MQTT", x.version, flagClean|flagReserved, 0, nil, text(x.name()))},
	} {
		answer := x.refusesConnect(b.what, b.packet)
		if len(answer) >= 2 && strings.IndexByte(known, answer[1]) < 0 && b.what != "a protocol level of 6" {
			x.Differ("CONNACK %#x for %s", answer[1], b.what)
		}
	}
}

// noCodeNoConnack of MQTT 3.1.1: what no return code fits is ended without one.
func noCodeNoConnack(x *Exam) {
	for _, b := range []broken{
		{"the reserved flag", rawConnect("MQTT", x.version, flagClean|flagReserved, 0, nil, text(x.name()))},
		{"a will QoS of 3", rawConnect("MQTT", x.version, flagClean|flagWill|3*flagWillQoS, 0, nil, text(x.name()), text("w"), text("p"))},
		{"bytes behind the end", rawConnect("MQTT", x.version, flagClean, 0, nil, text(x.name()), []byte{0})},
	} {
		if x.refusesConnect(b.what, b.packet) != nil {
			x.Differ("a CONNACK for %s", b.what)
		}
	}
}

// keepAlive: a silent client is ended, as if the network had failed.
func keepAlive(x *Exam) {
	listener := x.connect()
	listener.subscribe(x.topic("w"), 0)
	c := x.connect(withKeepAlive(1), withWill(will{topic: x.topic("w"), payload: "silent"}))
	if _, given := find(c.given, pServerKeepAlive); given {
		x.NoCase("the server sets a keep alive of its own")
	}
	begin := time.Now()
	said := c.ends("a silence of 1.5 times the keep alive")
	if time.Since(begin) < time.Second {
		x.Differ("a client is ended within its keep alive")
	}
	for _, p := range said {
		if p.kind() == tDisconnect && len(p.body) > 0 && p.body[0] != 0x8d {
			x.Differ("DISCONNECT %#x for a keep alive", p.body[0])
		}
	}
	if m := listener.next("the will of a silent client"); m.payload != "silent" {
		x.Differ("another will")
	}
}

// works differs unless the client can subscribe, publish and hear itself.
func works(x *Exam, c *Client) {
	name := x.topic("works/" + x.name())
	c.subscribe(name, 0)
	c.say(name, "mine")
	if m := c.next("its own message"); m.payload != "mine" || m.topic != name {
		x.Differ("another message than its own")
	}
}
