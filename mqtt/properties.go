package mqtt

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/wire"
	"github.com/frondmq/frond/mqtt/session"
)

// Headers that carry what MQTT knows of a message across NATS. headerQoS is
// that of nats-server; the others carry MQTT 5 properties, so that one MQTT 5
// client hears from another what it sent.
const (
	headerQoS           = session.HeaderQoS
	headerPayloadFormat = "Nmqtt-Payload-Format"
	headerExpiry        = "Nmqtt-Message-Expiry"
	headerContentType   = "Nmqtt-Content-Type"
	headerResponseTopic = "Nmqtt-Response-Topic"
	headerCorrelation   = "Nmqtt-Correlation-Data"
	headerPrefix        = "Nmqtt-"
)

// translation turns the property block of a PUBLISH into headers behind dst and
// into the reply subject. What is valid in MQTT and can't be a header is escaped
// (escaped.go), or left out: it costs the property, not the message.
type translation struct {
	dst, reply []byte
	rules      topicRules
	most       int    // length of a subject, 0 for no bound
	room       int    // by how much escaping may make it longer
	longer     int    // and has made it
	lost       int    // properties left out
	example    []byte // the first of them, borrowed
}

// properties does it, of a block that skipProperties has walked. Subscription
// identifiers come from servers only [MQTT-3.3.4-6].
func (t *translation) properties(block []byte) error {
	for len(block) > 0 {
		id, v := block[0], block[1:]
		size := propertySize(id, v)
		if size < 0 || size > len(v) {
			return fail(packets.ErrMalformedProperties, "property %#x", id)
		}
		v, block = v[:size], v[size:]
		if err := t.property(id, v); err != nil {
			return err
		}
	}
	return nil
}

func (t *translation) property(id byte, v []byte) error {
	switch id {
	case packets.PropPayloadFormat:
		t.dst = wire.AppendHeader(t.dst, headerPayloadFormat, strconv.Itoa(int(v[0])))
	case packets.PropMessageExpiryInterval:
		t.dst = wire.AppendHeader(t.dst, headerExpiry, strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10))
	case packets.PropContentType:
		if value := v[2:]; headerValue(value) {
			t.dst = appendField(t.dst, headerContentType, value)
		} else {
			t.escaped(headerContentTypeEscaped, nil, value, len(v))
		}
	case packets.PropResponseTopic:
		t.responseTopic(v[2:])
	case packets.PropCorrelationData:
		t.dst = append(append(t.dst, headerCorrelation...), ": "...)
		if len(v) == 2 {
			t.dst = append(t.dst, noData...)
		}
		t.dst = base64.StdEncoding.AppendEncode(t.dst, v[2:])
		t.dst = append(t.dst, '\r', '\n')
	case packets.PropUser:
		name, rest, _ := text(v) // propertySize has looked at both
		value, _, _ := text(rest)
		if headerName(name) && headerValue(value) {
			t.dst = appendField(t.dst, name, value)
		} else {
			t.escaped(headerUser, name, value, len(v))
		}
	case packets.PropTopicAlias, packets.PropWillDelayInterval: // for this server alone
	default:
		return fail(errProtocol, "property %#x in PUBLISH", id)
	}
	return nil
}

// responseTopic makes the topic the reply subject: it is the same thing. It is
// a header too, since streams keep headers and no reply subjects.
func (t *translation) responseTopic(topic []byte) {
	reply, err := appendSubject(t.reply, topic, t.rules)
	if err != nil || t.most > 0 && len(reply) > t.most || replyForServers(reply) { // empty, with wildcards, too long, or not a client's to name
		t.lose(topic)
		return
	}
	t.reply = reply
	if headerValue(topic) {
		t.dst = appendField(t.dst, headerResponseTopic, topic)
	}
}

func appendField[T ~string | ~[]byte](dst []byte, name T, value []byte) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), '\r', '\n')
}

func (t *translation) lose(what []byte) {
	if t.lost == 0 {
		t.example = what
	}
	t.lost++
}

// appendProperties turns the reply subject and the headers of a message into
// the property block of a PUBLISH, without its length. What no property can
// carry is left out.
func appendProperties(dst, reply, header []byte) []byte {
	var seen properties // each is there once at most [MQTT-2.2.2-2], whoever wrote the headers
	if len(reply) > 0 {
		if with, ok := appendResponseTopic(dst, reply); ok {
			dst, seen = with, setOf(packets.PropResponseTopic)
		}
	}
	if header == nil {
		return dst
	}
	wire.HeaderEach(header, func(name, value []byte) bool {
		if !bytes.HasPrefix(name, []byte(headerPrefix)) {
			if validText(name) && validText(value) {
				dst = append(dst, packets.PropUser)
				dst = appendString(appendString(dst, name), value)
			}
			return true
		}
		begin := len(dst)
		if dst = appendOwn(dst, string(name), value); len(dst) > begin && dst[begin] != packets.PropUser {
			if seen.has(dst[begin]) {
				dst = dst[:begin]
			} else {
				seen |= setOf(dst[begin])
			}
		}
		return true
	})
	return dst
}

// answersServers reports whether an answer to that topic would be a request to a
// server. Any client may write the header that names it.
func answersServers(topic []byte) bool {
	if topic[0] != '$' && topic[0] != '_' {
		return false
	}
	reply, err := appendSubject(nil, topic, 0)
	return err == nil && replyForServers(reply)
}

// replyForServers reports whether no client names a subject for answers: a session
// would become what somebody answers.
func replyForServers(reply []byte) bool {
	return subject.ReplyForServers(reply) || bytes.HasPrefix(reply, []byte(ownPrefix))
}

func appendResponseTopic(dst, reply []byte) ([]byte, bool) {
	begin := len(dst)
	dst = append(dst, packets.PropResponseTopic, 0, 0)
	dst = appendTopic(dst, reply)
	topic := dst[begin+3:]
	if !validTopic(topic) {
		return dst[:begin], false
	}
	binary.BigEndian.PutUint16(dst[begin+1:], uint16(len(topic)))
	return dst, true
}

func appendOwn(dst []byte, name string, value []byte) []byte {
	switch name {
	case headerPayloadFormat:
		if v := string(value); v == "0" || v == "1" {
			dst = append(dst, packets.PropPayloadFormat, v[0]-'0') // [MQTT-3.3.2-4]
		}
	case headerExpiry:
		if n, err := strconv.ParseUint(string(value), 10, 32); err == nil {
			dst = binary.BigEndian.AppendUint32(append(dst, packets.PropMessageExpiryInterval), uint32(n))
		}
	case headerUser:
		dst = appendUser(dst, value)
	case headerContentTypeEscaped:
		dst = appendContentType(dst, value)
	case headerContentType:
		if validText(value) {
			dst = appendString(append(dst, packets.PropContentType), value)
		}
	case headerResponseTopic:
		if validTopic(value) && !answersServers(value) {
			dst = appendString(append(dst, packets.PropResponseTopic), value)
		}
	case headerCorrelation:
		begin := len(dst)
		dst = append(dst, packets.PropCorrelationData, 0, 0)
		if string(value) == noData {
			return dst
		}
		data, err := base64.StdEncoding.AppendDecode(dst, value)
		n := len(data) - len(dst)
		if err != nil || n > 0xffff {
			return dst[:begin]
		}
		binary.BigEndian.PutUint16(data[begin+1:], uint16(n))
		dst = data
	}
	return dst
}

// validText reports whether b can be an MQTT string [MQTT-1.5.4-1]
// [MQTT-1.5.4-2].
func validText(b []byte) bool {
	return len(b) <= 0xffff && utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

func appendString(dst, s []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
