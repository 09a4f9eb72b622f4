package mqttconf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Packet types.
const (
	tConnect = iota + 1
	tConnack
	tPublish
	tPuback
	tPubrec
	tPubrel
	tPubcomp
	tSubscribe
	tSuback
	tUnsubscribe
	tUnsuback
	tPingreq
	tPingresp
	tDisconnect
	tAuth
)

var typeNames = [...]string{
	tConnect: "CONNECT", tConnack: "CONNACK", tPublish: "PUBLISH", tPuback: "PUBACK", tPubrec: "PUBREC", tPubrel: "PUBREL",
	tPubcomp: "PUBCOMP", tSubscribe: "SUBSCRIBE", tSuback: "SUBACK", tUnsubscribe: "UNSUBSCRIBE", tUnsuback: "UNSUBACK",
	tPingreq: "PINGREQ", tPingresp: "PINGRESP", tDisconnect: "DISCONNECT", tAuth: "AUTH", 0: "packet type 0",
}

func typeName(kind byte) string { return typeNames[kind] }

// Protocol levels.
const (
	v311 = 4
	v5   = 5
)

// Properties of MQTT 5.
const (
	pPayloadFormat     = 0x01
	pMessageExpiry     = 0x02
	pContentType       = 0x03
	pResponseTopic     = 0x08
	pCorrelation       = 0x09
	pSubscriptionID    = 0x0b
	pSessionExpiry     = 0x11
	pAssignedID        = 0x12
	pServerKeepAlive   = 0x13
	pAuthMethod        = 0x15
	pAuthData          = 0x16
	pProblemInfo       = 0x17
	pWillDelay         = 0x18
	pResponseInfo      = 0x19 // asked for
	pResponseInfoGiven = 0x1a
	pServerReference   = 0x1c
	pReasonString      = 0x1f
	pReceiveMaximum    = 0x21
	pTopicAliasMaximum = 0x22
	pTopicAlias        = 0x23
	pMaximumQoS        = 0x24
	pRetainAvailable   = 0x25
	pUser              = 0x26
	pMaximumPacketSize = 0x27
	pWildcards         = 0x28
	pIdentifiers       = 0x29
	pShared            = 0x2a
)

// How the value of a property is written.
const (
	aByte = iota + 1
	aShort
	aLong
	aVarint
	aText
	aBinary
	aPair
)

var propertyForms = map[byte]int{
	pPayloadFormat: aByte, pMessageExpiry: aLong, pContentType: aText, pResponseTopic: aText, pCorrelation: aBinary,
	pSubscriptionID: aVarint, pSessionExpiry: aLong, pAssignedID: aText, pServerKeepAlive: aShort, pAuthMethod: aText,
	pAuthData: aBinary, pProblemInfo: aByte, pWillDelay: aLong, pResponseInfo: aByte, pResponseInfoGiven: aText,
	pServerReference: aText, pReasonString: aText, pReceiveMaximum: aShort, pTopicAliasMaximum: aShort, pTopicAlias: aShort,
	pMaximumQoS: aByte, pRetainAvailable: aByte, pUser: aPair, pMaximumPacketSize: aLong, pWildcards: aByte,
	pIdentifiers: aByte, pShared: aByte,
}

// serverProperties are those that may stand in what servers send.
var serverProperties = map[byte][]byte{
	tConnack: {pSessionExpiry, pReceiveMaximum, pMaximumQoS, pRetainAvailable, pMaximumPacketSize, pAssignedID, pTopicAliasMaximum,
		pReasonString, pUser, pWildcards, pIdentifiers, pShared, pServerKeepAlive, pResponseInfoGiven, pServerReference, pAuthMethod, pAuthData},
	tPublish:    {pPayloadFormat, pMessageExpiry, pTopicAlias, pResponseTopic, pCorrelation, pUser, pSubscriptionID, pContentType},
	tPuback:     {pReasonString, pUser},
	tPubrec:     {pReasonString, pUser},
	tPubrel:     {pReasonString, pUser},
	tPubcomp:    {pReasonString, pUser},
	tSuback:     {pReasonString, pUser},
	tUnsuback:   {pReasonString, pUser},
	tDisconnect: {pReasonString, pUser, pServerReference},
	tAuth:       {pAuthMethod, pAuthData, pReasonString, pUser},
}

// clientProperties are those that may stand in what clients send; 0 is the will.
var clientProperties = map[byte][]byte{
	0:            {pWillDelay, pPayloadFormat, pMessageExpiry, pContentType, pResponseTopic, pCorrelation, pUser},
	tConnect:     {pSessionExpiry, pReceiveMaximum, pMaximumPacketSize, pTopicAliasMaximum, pResponseInfo, pProblemInfo, pUser, pAuthMethod, pAuthData},
	tPublish:     {pPayloadFormat, pMessageExpiry, pTopicAlias, pResponseTopic, pCorrelation, pUser, pContentType},
	tPuback:      {pReasonString, pUser},
	tPubrec:      {pReasonString, pUser},
	tPubrel:      {pReasonString, pUser},
	tPubcomp:     {pReasonString, pUser},
	tSubscribe:   {pSubscriptionID, pUser},
	tUnsubscribe: {pUser},
	tDisconnect:  {pSessionExpiry, pReasonString, pUser},
}

// What packets are written with.

func short(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func text(s string) []byte { return append(short(len(s)), s...) }

func varint(n int) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// frame is a packet of these parts.
func frame(first byte, parts ...[]byte) []byte {
	body := join(parts...)
	return join([]byte{first}, varint(len(body)), body)
}

// block is a property block with its length.
func block(props ...[]byte) []byte {
	b := join(props...)
	return join(varint(len(b)), b)
}

func byteProp(id, v byte) []byte         { return []byte{id, v} }
func shortProp(id byte, v int) []byte    { return join([]byte{id}, short(v)) }
func longProp(id byte, v int) []byte     { return binary.BigEndian.AppendUint32([]byte{id}, uint32(v)) }
func textProp(id byte, v string) []byte  { return join([]byte{id}, text(v)) }
func varintProp(id byte, v int) []byte   { return join([]byte{id}, varint(v)) }
func userProp(name, value string) []byte { return join([]byte{pUser}, text(name), text(value)) }
func sampleProp(id byte) []byte {
	switch propertyForms[id] {
	case aByte:
		return byteProp(id, 1)
	case aShort:
		return shortProp(id, 10)
	case aLong:
		return longProp(id, 1000)
	case aVarint:
		return varintProp(id, 1)
	case aPair:
		return userProp("name", "value")
	}
	return textProp(id, "text")
}

// packet is one that came from a server.
type packet struct {
	first byte
	body  []byte
	size  int // all of it
}

func (p packet) kind() byte { return p.first >> 4 }

// property is one of a packet.
type property struct {
	id    byte
	value []byte // without the length of a text; of a pair name, NUL, value
}

var errForm = errors.New("malformed")

// readPacket reads one packet, and refuses what no server may send: types and flags
// that are reserved, and lengths that take more bytes than they need.
func readPacket(r io.Reader) (packet, error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return packet{}, err
	}
	p := packet{first: b[0]}
	n, width := 0, 0
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return p, fmt.Errorf("%w: a packet that ends behind its first byte", errForm)
		}
		n |= int(b[0]&0x7f) << (7 * width)
		if width++; b[0] < 0x80 {
			break
		}
		if width == 4 {
			return p, fmt.Errorf("%w: a length of more than four bytes", errForm)
		}
	}
	if width != len(varint(n)) {
		return p, fmt.Errorf("%w: a length in more bytes than it needs", errForm)
	}
	p.body, p.size = make([]byte, n), 1+width+n
	if _, err := io.ReadFull(r, p.body); err != nil {
		return p, fmt.Errorf("%w: a packet that is cut off", errForm)
	}
	want := byte(0)
	switch p.kind() {
	case tPublish:
		return p, nil
	case tPubrel:
		want = 2
	case tConnack, tPuback, tPubrec, tPubcomp, tSuback, tUnsuback, tPingresp, tDisconnect, tAuth:
	default:
		return p, fmt.Errorf("%w: a %s from a server", errForm, typeName(p.kind()))
	}
	if p.first&15 != want {
		return p, fmt.Errorf("%w: fixed header flags %#x of %s", errForm, p.first&15, typeName(p.kind()))
	}
	return p, nil
}

// cut takes the first n bytes.
func cut(b []byte, n int) (head, rest []byte, err error) {
	if len(b) < n {
		return nil, nil, fmt.Errorf("%w: a packet that is too short", errForm)
	}
	return b[:n], b[n:], nil
}

func cutText(b []byte) (s, rest []byte, err error) {
	n, rest, err := cut(b, 2)
	if err != nil {
		return nil, nil, err
	}
	return cut(rest, int(binary.BigEndian.Uint16(n)))
}

func cutVarint(b []byte) (n int, rest []byte, err error) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if i+1 != len(varint(n)) {
				break
			}
			return n, b[i+1:], nil
		}
	}
	return 0, nil, fmt.Errorf("%w: a variable byte integer", errForm)
}

// cutProperties reads the property block of a packet of that type.
func cutProperties(kind byte, b []byte) (props []property, rest []byte, err error) {
	n, rest, err := cutVarint(b)
	if err != nil {
		return nil, nil, err
	}
	b, rest, err = cut(rest, n)
	seen := map[byte]bool{}
	for err == nil && len(b) > 0 {
		var p property
		if p, b, err = cutProperty(b); err != nil {
			break
		}
		switch {
		case !contains(serverProperties[kind], p.id):
			err = fmt.Errorf("%w: property %#x in %s", errForm, p.id, typeName(kind))
		case seen[p.id] && p.id != pUser && (p.id != pSubscriptionID || kind != tPublish):
			err = fmt.Errorf("%w: property %#x twice in %s", errForm, p.id, typeName(kind))
		}
		seen[p.id] = true
		props = append(props, p)
	}
	return props, rest, err
}

func cutProperty(b []byte) (p property, rest []byte, err error) {
	p.id, rest = b[0], b[1:]
	switch propertyForms[p.id] {
	case aByte:
		p.value, rest, err = cut(rest, 1)
	case aShort:
		p.value, rest, err = cut(rest, 2)
	case aLong:
		p.value, rest, err = cut(rest, 4)
	case aVarint:
		var after []byte
		if _, after, err = cutVarint(rest); err == nil {
			p.value, rest = rest[:len(rest)-len(after)], after
		}
	case aText, aBinary:
		p.value, rest, err = cutText(rest)
	case aPair:
		var name, value []byte
		if name, rest, err = cutText(rest); err == nil {
			value, rest, err = cutText(rest)
		}
		p.value = join(name, []byte{0}, value)
		if err == nil && (!wellFormed(name) || !wellFormed(value)) {
			err = fmt.Errorf("%w: a user property that is no text", errForm)
		}
	default:
		return p, nil, fmt.Errorf("%w: unknown property %#x", errForm, p.id)
	}
	if err == nil && propertyForms[p.id] == aText && !wellFormed(p.value) {
		err = fmt.Errorf("%w: property %#x is no text", errForm, p.id)
	}
	return p, rest, err
}

func wellFormed(b []byte) bool { return utf8.Valid(b) && !contains(b, 0) }

func contains(b []byte, c byte) bool {
	for _, x := range b {
		if x == c {
			return true
		}
	}
	return false
}

// find gives the value of a property.
func find(props []property, id byte) (value []byte, ok bool) {
	for _, p := range props {
		if p.id == id {
			return p.value, true
		}
	}
	return nil, false
}

// number is the value of a property that is one, or what its absence means.
func number(props []property, id byte, absent int) int {
	v, ok := find(props, id)
	if !ok {
		return absent
	}
	n := 0
	for _, c := range v {
		n = n<<8 | int(c)
	}
	return n
}

// users are the user properties, in their order.
func users(props []property) (all []string) {
	for _, p := range props {
		if p.id == pUser {
			all = append(all, string(p.value))
		}
	}
	return all
}
