package mqtt

import (
	"encoding/binary"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The codec trusts some of what it reads: malformed packets may be accepted, or
// end more than the connection they came by. So packets are walked from end to
// end here, and what is not as the protocol says never gets to the codec.

// checkFlags refuses fixed header flags that are reserved [MQTT-2.1.3-1], and
// packets that only servers send.
func checkFlags(f *frame) error {
	want := byte(0)
	switch f.kind() {
	case packets.Publish:
		return nil
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		want = 2
	case packets.Connect, packets.Puback, packets.Pubrec, packets.Pubcomp,
		packets.Pingreq, packets.Disconnect, packets.Auth:
	default:
		return fail(errProtocol, "packet type %d from a client", f.kind())
	}
	if f.flags() != want {
		return fail(packets.ErrMalformedFlags, "fixed header flags %#x of packet type %d", f.flags(), f.kind())
	}
	return nil
}

// properties is a set of identifiers; all are below 64.
type properties uint64

func setOf(ids ...byte) (s properties) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

func (s properties) has(id byte) bool { return id < 64 && s&(1<<id) != 0 }

// Which properties may stand in what clients send [MQTT-2.2.2.2].
var (
	connectProperties = setOf(packets.PropSessionExpiryInterval, packets.PropReceiveMaximum, packets.PropMaximumPacketSize,
		packets.PropTopicAliasMaximum, packets.PropRequestResponseInfo, packets.PropRequestProblemInfo, packets.PropUser,
		packets.PropAuthenticationMethod, packets.PropAuthenticationData)
	willProperties = setOf(packets.PropWillDelayInterval, packets.PropPayloadFormat, packets.PropMessageExpiryInterval,
		packets.PropContentType, packets.PropResponseTopic, packets.PropCorrelationData, packets.PropUser)
	subscribeProperties   = setOf(packets.PropSubscriptionIdentifier, packets.PropUser)
	unsubscribeProperties = setOf(packets.PropUser)
	publishProperties     = setOf(packets.PropPayloadFormat, packets.PropMessageExpiryInterval, packets.PropTopicAlias,
		packets.PropResponseTopic, packets.PropCorrelationData, packets.PropUser, packets.PropSubscriptionIdentifier,
		packets.PropContentType)
	ackProperties        = setOf(packets.PropReasonString, packets.PropUser)
	disconnectProperties = setOf(packets.PropSessionExpiryInterval, packets.PropReasonString, packets.PropUser)
	flagProperties       = setOf(packets.PropPayloadFormat, packets.PropRequestProblemInfo, packets.PropRequestResponseInfo)
	textProperties       = setOf(packets.PropContentType, packets.PropResponseTopic, packets.PropReasonString, packets.PropAuthenticationMethod)
	// Zero has no meaning for these [MQTT-3.1.2.11.3] [MQTT-3.1.2.11.4] [MQTT-3.8.2.1.2].
	positiveProperties = setOf(packets.PropReceiveMaximum, packets.PropMaximumPacketSize, packets.PropSubscriptionIdentifier)
)

// skipProperties checks an MQTT 5 property block: its length, properties that
// do not belong there, stand twice [MQTT-2.2.2-2], or have a value that is not
// allowed or no text. It gives what follows.
func skipProperties(b []byte, allowed properties) (rest []byte, err error) {
	n, w := varint(b)
	if w == 0 || w+n > len(b) {
		return nil, fail(packets.ErrMalformedProperties, "property length")
	}
	block, rest := b[w:w+n], b[w+n:]
	var seen properties
	for len(block) > 0 {
		id := block[0]
		size := propertySize(id, block[1:])
		if size < 0 || size > len(block)-1 {
			return nil, fail(packets.ErrMalformedProperties, "property %#x", id)
		}
		value := block[1 : 1+size]
		switch {
		case !allowed.has(id):
			return nil, fail(errProtocol, "property %#x does not belong there", id)
		case seen.has(id) && id != packets.PropUser:
			return nil, fail(errProtocol, "property %#x twice", id)
		case flagProperties.has(id) && value[0] > 1, positiveProperties.has(id) && allZero(value):
			return nil, fail(errProtocol, "property %#x with value %x", id, value)
		case textProperties.has(id) && !validText(value[2:]), id == packets.PropUser && !validPair(value):
			return nil, fail(packets.ErrMalformedInvalidUTF8, "property %#x", id) // [MQTT-1.5.4-1] [MQTT-1.5.7-1]
		}
		seen |= setOf(id)
		block = block[1+size:]
	}
	return rest, nil
}

// checkReason walks what MQTT 5 has at the end of an acknowledgement or a DISCONNECT,
// all of which may be left out: a reason code, properties, and nothing behind them.
func checkReason(b []byte, allowed properties) error {
	if len(b) < 2 {
		return nil
	}
	rest, err := skipProperties(b[1:], allowed)
	if err == nil && len(rest) > 0 {
		return fail(errMalformed, "%d bytes behind the properties", len(rest))
	}
	return err
}

// validPair reports whether both strings of a user property are text.
func validPair(b []byte) bool {
	name, rest, _ := text(b) // propertySize has looked at both
	value, _, _ := text(rest)
	return validText(name) && validText(value)
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// propertySize is the width of a property's value, -1 for unknown ones.
func propertySize(id byte, b []byte) int {
	switch id {
	case packets.PropPayloadFormat, packets.PropRequestProblemInfo, packets.PropRequestResponseInfo,
		packets.PropMaximumQos, packets.PropRetainAvailable, packets.PropWildcardSubAvailable,
		packets.PropSubIDAvailable, packets.PropSharedSubAvailable:
		return 1
	case packets.PropServerKeepAlive, packets.PropReceiveMaximum, packets.PropTopicAliasMaximum, packets.PropTopicAlias:
		return 2
	case packets.PropMessageExpiryInterval, packets.PropSessionExpiryInterval, packets.PropWillDelayInterval,
		packets.PropMaximumPacketSize:
		return 4
	case packets.PropSubscriptionIdentifier:
		if _, w := varint(b); w > 0 {
			return w
		}
		return -1
	case packets.PropUser:
		first := textSize(b)
		if first < 0 || first > len(b) {
			return -1
		}
		second := textSize(b[first:])
		if second < 0 {
			return -1
		}
		return first + second
	case packets.PropContentType, packets.PropResponseTopic, packets.PropCorrelationData, packets.PropAssignedClientID,
		packets.PropAuthenticationMethod, packets.PropAuthenticationData, packets.PropResponseInfo,
		packets.PropServerReference, packets.PropReasonString:
		return textSize(b)
	}
	return -1
}

func textSize(b []byte) int {
	if len(b) < 2 {
		return -1
	}
	return 2 + int(binary.BigEndian.Uint16(b))
}

// varint reads a variable byte integer; width 0 means that there is none.
func varint(b []byte) (n, width int) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// text cuts a length-prefixed string off b.
func text(b []byte) (s, rest []byte, ok bool) {
	n := textSize(b)
	if n < 0 || n > len(b) {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

// checkSubscribe walks a SUBSCRIBE or, without options, an UNSUBSCRIBE to its
// end.
func checkSubscribe(body []byte, version byte, options bool) error {
	if len(body) < 2 {
		return fail(packets.ErrMalformedPacketID, "no packet identifier")
	}
	if binary.BigEndian.Uint16(body) == 0 {
		return fail(errProtocol, "packet identifier 0") // [MQTT-2.2.1-3]
	}
	rest := body[2:]
	if version == v5 {
		var err error
		allowed := unsubscribeProperties
		if options {
			allowed = subscribeProperties
		}
		if rest, err = skipProperties(rest, allowed); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return fail(packets.ErrProtocolViolationNoFilters, "no topic filter") // [MQTT-3.8.3-2]
	}
	for len(rest) > 0 {
		filter, after, ok := text(rest)
		switch {
		case !ok || options && len(after) == 0:
			return fail(errMalformed, "topic filter is cut off")
		case len(filter) == 0:
			return fail(errProtocol, "empty topic filter") // [MQTT-4.7.3-1]
		case !validText(filter):
			return fail(packets.ErrMalformedInvalidUTF8, "topic filter")
		}
		rest = after
		if options {
			if err := checkOptions(rest[0], version); err != nil {
				return err
			}
			rest = rest[1:]
		}
	}
	return nil
}

// checkOptions refuses reserved bits and values [MQTT-3.8.3-4] [MQTT-3.8.3-5].
func checkOptions(b, version byte) error {
	reserved := byte(0xfc)
	if version == v5 {
		reserved = 0xc0
	}
	if b&reserved != 0 || b&3 == 3 || version == v5 && b>>4&3 == 3 {
		return fail(errProtocol, "subscription options %#x", b)
	}
	return nil
}

// checkConnect walks a CONNECT to its end: property blocks, payload fields, and
// nothing behind them.
func checkConnect(body []byte) error {
	name, rest, ok := text(body)
	if !ok || len(rest) < 4 {
		return fail(errMalformed, "CONNECT is cut off")
	}
	version, _ := level(name, rest[0])
	if version == 0 {
		return nil // will be refused for that
	}
	flags := rest[1]
	rest = rest[4:]
	skip := func(what string, allowed properties, isText bool) (err error) {
		if version == v5 && allowed != 0 {
			if rest, err = skipProperties(rest, allowed); err != nil {
				return err
			}
		}
		var field []byte
		if field, rest, ok = text(rest); !ok {
			return fail(errMalformed, "%s is cut off", what)
		}
		if isText && !validText(field) {
			return fail(packets.ErrMalformedInvalidUTF8, "%s is not valid text", what) // [MQTT-1.5.4-1]
		}
		return nil
	}
	if err := skip("client identifier", connectProperties, false); err != nil {
		return err
	}
	if flags&flagWill != 0 {
		if err := skip("will topic", willProperties, true); err != nil {
			return err
		}
		if err := skip("will payload", 0, false); err != nil {
			return err
		}
	}
	if flags&flagUser != 0 {
		if err := skip("user name", 0, false); err != nil {
			return err
		}
	}
	if flags&flagPassword != 0 {
		if err := skip("password", 0, false); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fail(errMalformed, "%d bytes behind the end of CONNECT", len(rest))
	}
	return nil
}

// Flags of CONNECT that say which fields follow [MQTT-3.1.2.3].
const flagWill, flagPassword, flagUser = 0x04, 0x40, 0x80
