package mqtt

import (
	"encoding/binary"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
)

const flagRetain, flagDup = 0x01, 0x08

// publication is one PUBLISH, decoded. Its slices are borrowed from the
// packet.
type publication struct {
	qos     byte
	retain  bool
	id      uint16
	topic   []byte
	props   []byte // property block without its length, MQTT 5 only
	payload []byte
}

// parsePublish decodes a PUBLISH of a client.
func parsePublish(f frame, version byte) (publication, error) {
	p := publication{qos: f.first >> 1 & 3, retain: f.first&flagRetain != 0}
	switch {
	case p.qos == 3:
		return p, fail(packets.ErrMalformedQos, "QoS 3") // [MQTT-3.3.1-4]
	case p.qos == 0 && f.first&flagDup != 0:
		return p, fail(packets.ErrProtocolViolationDupNoQos, "DUP with QoS 0") // [MQTT-3.3.1-2]
	}
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
		rest = after
	}
	p.payload = rest
	return p, nil
}

// publish takes a PUBLISH: the message is routed on this goroutine, the PUBACK
// of QoS 1 follows when every stream that took it has it on disk.
func (c *conn) publish(f frame) error {
	p, err := parsePublish(f, c.version)
	if err != nil {
		return err
	}
	switch {
	case p.qos == 2:
		return fail(packets.ErrQosNotSupported, "PUBLISH with QoS 2 to %q: QoS 2 is not supported yet, use QoS 1", p.topic)
	case p.retain:
		return fail(packets.ErrRetainNotSupported, "PUBLISH with RETAIN to %q: retained messages are not supported yet", p.topic)
	}
	if p.qos == 1 {
		if err := c.waitForAcks(); err != nil {
			return err
		}
	}
	subj, err := appendSubject(c.subject[:0], p.topic, false)
	if err != nil {
		return fail(packets.ErrTopicNameInvalid, "topic %q: %w", p.topic, err)
	}
	c.subject = subj
	if c.header, err = c.headers(&p); err != nil {
		return c.refuse(&p, err)
	}
	if size := len(c.header) + len(p.payload); size > c.m.services.Options().MaxPayload {
		return fail(packets.ErrPacketTooLarge, "message of %d bytes with its headers, the limit is %d", size, c.m.services.Options().MaxPayload)
	}
	c.inMsgs.Add(1)
	c.inBytes.Add(int64(len(p.payload)))
	if c.grant.Permissions != nil && !c.grant.Permissions.CanPublish(subj) {
		return c.deny(&p)
	}
	if p.qos == 1 {
		c.publishQoS1(&p)
		return nil
	}
	c.route(&p, nil)
	return nil
}

// headers makes the header block of the message in the connection's scratch
// space.
func (c *conn) headers(p *publication) ([]byte, error) {
	h := append(c.header[:0], "NATS/1.0\r\n"+headerQoS+":"...)
	h = append(h, '0'+p.qos, '\r', '\n')
	h, err := appendHeaders(h, p.props)
	if err != nil {
		return h, err
	}
	return append(h, '\r', '\n'), nil
}

func (c *conn) publishQoS1(p *publication) {
	r := c.acks.open(p.id)
	code := packets.CodeSuccess.Code
	if c.route(p, r) == 0 {
		code = packets.CodeNoMatchingSubscribers.Code // MQTT 5 only, see appendPuback
	}
	r.routed(code)
}

// waitForAcks stops reading until one more message may be unacknowledged. MQTT
// 5 clients know the limit and must not reach it [MQTT-3.3.4-9].
func (c *conn) waitForAcks() error {
	if c.acks.waiting() < receiveMaximum {
		return nil
	}
	if c.version == v5 {
		return fail(packets.ErrReceiveMaximum, "more than %d unacknowledged messages", receiveMaximum)
	}
	c.origin.Flush()
	for c.acks.waiting() >= receiveMaximum {
		select {
		case <-c.acks.room:
		case <-c.ended:
			return errEnded
		}
	}
	return nil
}

// route hands the message to the account and returns how many took it.
func (c *conn) route(p *publication, r *receipt) int {
	c.msg = wire.Msg{Subject: c.subject, Header: c.header, Body: p.payload}
	if r != nil {
		c.msg.Receipt = r // not a typed nil
	}
	c.own.Store(&c.msg)
	n := c.account.Route(c.origin, &c.msg)
	c.own.Store(nil)
	return n
}

// deny answers a PUBLISH that the user may not send. MQTT 3.1.1 has no word
// for it: the message is dropped and acknowledged [MQTT-3.3.5-2].
func (c *conn) deny(p *publication) error {
	c.log.Error("Publish Violation", "user", c.grant.User, "topic", string(p.topic))
	if p.qos == 1 {
		r := c.acks.open(p.id)
		code := packets.CodeSuccess.Code
		if c.version == v5 {
			code = packets.ErrNotAuthorized.Code
		}
		r.routed(code)
	}
	return nil
}

// refuse answers a PUBLISH whose properties cannot be carried: the one message
// fails, not the connection. Malformed packets do end it.
func (c *conn) refuse(p *publication, err error) error {
	f, ok := err.(*failure)
	if !ok || p.qos == 0 || f.code != packets.ErrImplementationSpecificError {
		return err
	}
	c.log.Error("Publish refused", "topic", string(p.topic), "err", err)
	c.acks.open(p.id).routed(f.code.Code)
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

// appendPublish appends a PUBLISH to a client. id is for QoS 1; props is the
// property block without its length, for MQTT 5.
func appendPublish(dst []byte, version, qos byte, id uint16, topic, props, payload []byte) []byte {
	dst = append(dst, packets.Publish<<4|qos<<1)
	dst = appendLength(dst, publishSize(version, qos, topic, props, payload))
	dst = appendString(dst, topic)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	if version == v5 {
		dst = appendLength(dst, len(props))
		dst = append(dst, props...)
	}
	return append(dst, payload...)
}
