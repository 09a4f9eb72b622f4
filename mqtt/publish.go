package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

const flagRetain = 0x01

// publication is one PUBLISH, decoded. Its slices are borrowed from the
// packet.
type publication struct {
	qos     byte
	retain  bool
	id      uint16
	topic   []byte
	props   []byte // property block without its length, MQTT 5 only
	alias   int    // of the topic, -1 for none
	payload []byte
	cut     int   // bytes of the payload that were too many and are not there
	bad     error // why the topic is refused
}

// parsePublish decodes a PUBLISH of a client.
func parsePublish(f frame, version byte) (publication, error) {
	p := publication{qos: f.first >> 1 & 3, retain: f.first&flagRetain != 0, cut: f.cut, alias: -1}
	if p.qos == 3 {
		return p, fail(packets.ErrMalformedQos, "QoS 3") // [MQTT-3.3.1-4]
	}
	// DUP means nothing with QoS 0 and is forbidden there; nats-server and
	// mosquitto do not look at it, so there are devices that set it.
	var ok bool
	rest := f.body
	if p.topic, rest, ok = text(rest); !ok {
		return p, fail(packets.ErrMalformedTopic, "topic is cut off")
	}
	if p.qos > 0 {
		if len(rest) < 2 {
			return p, fail(packets.ErrMalformedPacketID, "packet identifier is cut off")
		}
		if p.id = binary.BigEndian.Uint16(rest); p.id == 0 {
			return p, fail(packets.ErrProtocolViolationNoPacketID, "packet identifier 0") // [MQTT-2.2.1-3]
		}
		rest = rest[2:]
	}
	if version == v5 {
		after, err := skipProperties(rest, publishProperties)
		if err != nil {
			return p, err
		}
		_, w := varint(rest)
		p.props = rest[w : len(rest)-len(after)]
		p.alias, rest = aliasOf(p.props), after
	}
	p.payload = rest
	return p, nil
}

// publish takes a PUBLISH: the message is routed on this goroutine, the PUBACK
// or PUBREC follows when every stream that took it has it on disk.
//
// One bad message must not cost the client its connection: it would connect,
// send the same message first, and so on for ever. Only what the protocol
// forbids ends the connection; what can not be carried is refused or goes
// without.
func (c *conn) publish(f frame) error {
	if c.publisher == nil {
		c.publisher = &publisher{origin: account.NewOrigin(nil, account.RoleClient, "")}
	}
	p, err := parsePublish(f, c.version)
	if err != nil {
		return err
	}
	if err := c.checkTopic(&p); err != nil {
		return err
	}
	if p.qos == 2 && c.o.MQTT.RejectQoS2 {
		return fail(packets.ErrQosNotSupported, "PUBLISH with QoS 2 to %q, and mqtt.reject_qos2_publish is set", core.Cut(p.topic))
	}
	if p.retain && !c.m.keeps() {
		p.retain = false
		if !c.noticed(noticeRetain) {
			c.notice(noticeRetain, "topic", core.Cut(p.topic))
		}
	}
	if p.qos > 0 {
		if err := c.waitForAcks(); err != nil {
			return err
		}
	}
	if p.qos == 2 {
		if taken, err := c.takenBefore(p.id, f.first&flagDup != 0); taken || err != nil {
			return err
		}
	}
	return c.accept(&p)
}

// exactBy is the session that has the packet identifier of a publication; nil for none.
func (c *conn) exactBy(p *publication) *session.Session {
	if p.qos < 2 || c.kept == nil {
		return nil
	}
	return c.kept.session
}

// checkTopic makes the subject of the message. It fails for what the protocol
// forbids; what is only refused leaves no subject.
func (c *conn) checkTopic(p *publication) error {
	known, err := c.resolve(p)
	if err != nil {
		return err
	}
	if p.bad != nil {
		return nil
	}
	c.subject, err = appendSubject(c.subject[:0], p.topic, c.topicRules())
	if err == nil && c.tooLong(c.subject) {
		err = errTopicLong
	}
	switch err {
	case nil:
		if !known {
			c.name(p)
		}
		return nil
	case errTopicChar, errTopicLong:
		p.bad = err
		c.name(p)
		if err == errTopicChar && c.version != v5 {
			return fail(packets.ErrTopicNameInvalid, "topic %q: %w", core.Cut(p.topic), err) // nats-server's way
		}
		return nil
	case errTopicWildcard, errTopicText: // [MQTT-3.3.2-2] [MQTT-1.5.4-1]
		return fail(packets.ErrMalformedTopic, "topic %q: %w", core.Cut(p.topic), err)
	}
	return fail(packets.ErrProtocolViolationNoTopic, "PUBLISH: %w", err) // [MQTT-4.7.3-1]
}

func (c *conn) topicRules() topicRules {
	if c.o.MQTT.RefuseBlanks {
		return noEscape
	}
	return 0
}

// tooLong reports whether a subject is longer than one of a NATS client can be:
// a topic has up to 64 KiB, and a control line that is too long cuts a link.
func (c *conn) tooLong(subj []byte) bool {
	limit := c.maxSubject()
	return limit > 0 && len(subj) > limit
}

func (c *conn) maxSubject() int { return wire.MaxSubject(c.o.MaxControlLine) }

// accept routes the message, or refuses it alone.
func (c *conn) accept(p *publication) error {
	if p.bad != nil {
		return c.refuse(p, packets.ErrTopicNameInvalid, p.bad)
	}
	var err error
	if c.header, err = c.headers(p); err != nil {
		return err
	}
	if size, limit := len(c.header)+len(p.payload)+p.cut, c.maxPayload; size > limit {
		return c.refuse(p, packets.ErrQuotaExceeded, fmt.Errorf("message of %d bytes with its headers, the limit is %d", size, limit))
	}
	c.inMsgs.Add(1)
	c.inBytes.Add(int64(len(p.payload)))
	if !c.mayPublish() {
		return c.refuse(p, packets.ErrNotAuthorized, nil)
	}
	c.certify(p)
	if p.qos == 0 {
		c.keepRetained(p, nil)
		c.route(p, nil)
		return nil
	}
	r := c.acks.open(p.id, p.qos)
	c.keepRetained(p, r)
	code := packets.CodeSuccess.Code
	if c.route(p, r) == 0 && !p.retain {
		code = packets.CodeNoMatchingSubscribers.Code // MQTT 5 only, see appendAck
	}
	r.keeps.put(c.origin, c.header, p.payload, c.exactBy(p), p.id, r)
	r.routed(code)
	return nil
}

// keepRetained stores a retained message before it is routed: who has heard it
// never gets an older one from the stream (replay.go).
func (c *conn) keepRetained(p *publication, r *receipt) {
	if p.retain {
		c.keep(c.origin, p.qos, string(p.topic), c.subject, c.header, p.payload, r)
	}
}

// notForClients reports whether a subject is one that no client publishes to: what
// the server stores for MQTT is its own, whatever rights a client has.
func notForClients(subj []byte) bool {
	return subject.ForServers(subj) || ofServer(subj) || bytes.HasPrefix(subj, []byte(ownPrefix))
}

// mayPublish reports whether the client may publish to c.subject: by its
// permissions, or because it was asked to answer there.
func (c *conn) mayPublish() bool {
	if notForClients(c.subject) {
		return false
	}
	p := c.grant.Permissions
	return p == nil || p.CanPublish(c.subject) || c.replies != nil && c.replies.Use(c.subject, time.Now())
}

// headers makes the header block of the message in the connection's scratch
// space, and its reply subject.
func (c *conn) headers(p *publication) ([]byte, error) {
	t := translation{dst: appendOwnHeaders(c.header[:0], p.qos, p.retain), reply: c.reply[:0], rules: c.topicRules(), most: c.maxSubject(), room: escapedRoom(c.maxPayload)}
	err := t.properties(p.props)
	c.reply = t.reply
	if t.lost > 0 {
		c.m.lostProperties.Add(uint64(t.lost))
		if !c.noticed(noticeProperty) {
			c.notice(noticeProperty, "topic", core.Cut(p.topic), "property", core.Cut(t.example))
		}
	}
	return append(t.dst, '\r', '\n'), err
}

// appendOwnHeaders begins a block with what a PUBLISH says in its flags.
func appendOwnHeaders(h []byte, qos byte, retain bool) []byte {
	h = append(h, "NATS/1.0\r\n"+headerQoS+":"...)
	h = append(h, '0'+qos, '\r', '\n')
	if retain {
		h = append(h, headerRetain+":1\r\n"...)
	}
	return h
}

// waitForAcks stops reading until one more message may be unacknowledged. MQTT
// 5 clients know the limit and must not reach it [MQTT-3.3.4-7]; those that do
// nevertheless are held up too, rather than cut off: they would do it again.
func (c *conn) waitForAcks() error {
	if c.acks.waiting() < receiveMaximum {
		return nil
	}
	c.origin.Flush()
	c.out.Wake()
	room := c.acks.roomed()
	for c.acks.waiting() >= receiveMaximum {
		select {
		case <-room:
		case <-c.ended:
			return errEnded
		}
	}
	return nil
}

// route hands the message to the account and returns how many took it.
func (c *conn) route(p *publication, r *receipt) int {
	c.msg = wire.Msg{Subject: c.subject, Header: c.header, Body: p.payload, From: c.id}
	if r != nil {
		c.msg.Receipt = r // not a typed nil
	}
	if len(c.reply) > 0 {
		// A stream that has a receipt to tell does not answer by message: what
		// comes to the response topic is the answer of whoever was asked.
		c.msg.Reply = c.reply
		if r == nil {
			c.msg.Receipt = noReceipt{}
		}
	}
	return c.account.Route(c.origin, &c.msg)
}

// noReceipt is for whoever does not want to know.
type noReceipt struct{}

func (noReceipt) Expect()                            {}
func (noReceipt) Stored(string, uint64, bool, error) {}

// refuse answers a PUBLISH that is not taken and never will be; the connection
// goes on. Where the protocol has no word for it, with MQTT 3.1.1 and QoS 0,
// the message is dropped, and acknowledged as [MQTT-3.3.5-2] of 3.1.1 has it.
func (c *conn) refuse(p *publication, code packets.Code, why error) error {
	what := noticeRefused
	if code == packets.ErrNotAuthorized {
		what = noticeDenied
	}
	attrs := []any{"topic", core.Cut(p.topic)}
	if why != nil {
		attrs = append(attrs, "err", why)
	}
	c.notice(what, attrs...)
	c.drops.count(dropRefused)
	if p.qos == 0 {
		return nil
	}
	answer := packets.CodeSuccess.Code
	if c.version == v5 {
		answer = code.Code
	}
	r := c.acks.open(p.id, p.qos)
	r.why = why // nobody else has it yet
	r.routed(answer)
	return nil
}

// maxRemaining is the largest length that a packet can have [MQTT-1.5.5-1].
const maxRemaining = 1<<28 - 1

// publishSize is the remaining length of a PUBLISH.
func publishSize(version, qos byte, topic, props, payload []byte) int {
	n := 2 + len(topic) + len(payload)
	if qos > 0 {
		n += 2
	}
	if version == v5 {
		n += lengthWidth(len(props)) + len(props)
	}
	return n
}

// publishHead is the most that a PUBLISH is longer than its remaining length.
const publishHead = 5

// appendPublishHead appends a PUBLISH to a client up to its payload. size is its
// remaining length, id is for QoS 1; props is the property block without its
// length, for MQTT 5.
func appendPublishHead(dst []byte, version, qos byte, id uint16, topic, props []byte, size int) []byte {
	dst = append(dst, packets.Publish<<4|qos<<1)
	dst = appendLength(dst, size)
	dst = appendString(dst, topic)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	if version == v5 {
		dst = appendLength(dst, len(props))
		dst = append(dst, props...)
	}
	return dst
}

// identifierAt is where in a PUBLISH of that remaining length its packet
// identifier stands.
func identifierAt(size int, topic []byte) int { return 1 + lengthWidth(size) + 2 + len(topic) }
