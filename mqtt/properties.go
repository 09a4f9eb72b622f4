package mqtt

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
)

// Headers that carry what MQTT knows of a message across NATS. headerQoS is
// that of nats-server; the others carry MQTT 5 properties, so that one MQTT 5
// client hears from another what it sent.
const (
	headerQoS           = "Nmqtt-Pub"
	headerPayloadFormat = "Nmqtt-Payload-Format"
	headerExpiry        = "Nmqtt-Message-Expiry"
	headerContentType   = "Nmqtt-Content-Type"
	headerResponseTopic = "Nmqtt-Response-Topic"
	headerCorrelation   = "Nmqtt-Correlation-Data"
	headerPrefix        = "Nmqtt-"
)

// appendHeaders turns the property block of a PUBLISH into headers behind dst.
// Topic alias and subscription identifier are refused: this server announces
// that it has neither [MQTT-3.3.2-9] [MQTT-3.3.4-6].
func appendHeaders(dst, block []byte) ([]byte, error) {
	var err error
	for len(block) > 0 {
		id, v := block[0], block[1:]
		size := propertySize(id, v)
		if size < 0 || size > len(v) {
			return dst, fail(packets.ErrMalformedProperties, "property %#x", id)
		}
		v, block = v[:size], v[size:]
		switch id {
		case packets.PropPayloadFormat:
			dst = wire.AppendHeader(dst, headerPayloadFormat, strconv.Itoa(int(v[0])))
		case packets.PropMessageExpiryInterval:
			dst = wire.AppendHeader(dst, headerExpiry, strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10))
		case packets.PropContentType:
			if dst, err = appendText(dst, headerContentType, v[2:]); err != nil {
				return dst, err
			}
		case packets.PropResponseTopic:
			if !validTopic(v[2:]) {
				return dst, fail(packets.ErrTopicNameInvalid, "response topic %q", v[2:]) // [MQTT-3.3.2-14]
			}
			if dst, err = appendText(dst, headerResponseTopic, v[2:]); err != nil {
				return dst, err
			}
		case packets.PropCorrelationData:
			dst = append(append(dst, headerCorrelation...), ": "...)
			dst = base64.StdEncoding.AppendEncode(dst, v[2:])
			dst = append(dst, '\r', '\n')
		case packets.PropUser:
			if dst, err = appendUser(dst, v); err != nil {
				return dst, err
			}
		case packets.PropTopicAlias:
			return dst, fail(packets.ErrTopicAliasInvalid, "topic aliases are not supported")
		default:
			return dst, fail(errProtocol, "property %#x in PUBLISH", id)
		}
	}
	return dst, nil
}

func appendText(dst []byte, name string, value []byte) ([]byte, error) {
	if !headerValue(value) {
		return dst, fail(packets.ErrMalformedInvalidUTF8, "%s is not plain text", name[len(headerPrefix):])
	}
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), '\r', '\n'), nil
}

// appendUser appends a user property as a header. Its name must be one that a
// header can have, and not one of the server's own.
func appendUser(dst, v []byte) ([]byte, error) {
	name, rest, _ := text(v) // propertySize has looked at both
	value, _, _ := text(rest)
	if !headerName(name) || !headerValue(value) {
		return dst, fail(packets.ErrImplementationSpecificError, "user property %q cannot be a message header", name)
	}
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), '\r', '\n'), nil
}

func headerName(b []byte) bool {
	if len(b) == 0 || bytes.HasPrefix(b, []byte(headerPrefix)) {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == ':' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// headerValue refuses what a header block cannot carry unchanged.
func headerValue(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, 0) < 0
}

// appendProperties turns headers into the property block of a PUBLISH,
// without its length. Headers that no property can carry are left out.
func appendProperties(dst, header []byte) []byte {
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
		dst = appendOwn(dst, string(name), value)
		return true
	})
	return dst
}

func appendOwn(dst []byte, name string, value []byte) []byte {
	switch name {
	case headerPayloadFormat:
		if string(value) == "1" {
			dst = append(dst, packets.PropPayloadFormat, 1)
		}
	case headerExpiry:
		if n, err := strconv.ParseUint(string(value), 10, 32); err == nil {
			dst = binary.BigEndian.AppendUint32(append(dst, packets.PropMessageExpiryInterval), uint32(n))
		}
	case headerContentType:
		if validText(value) {
			dst = appendString(append(dst, packets.PropContentType), value)
		}
	case headerResponseTopic:
		if validTopic(value) {
			dst = appendString(append(dst, packets.PropResponseTopic), value)
		}
	case headerCorrelation:
		begin := len(dst)
		dst = append(dst, packets.PropCorrelationData, 0, 0)
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
