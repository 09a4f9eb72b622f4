package mqtt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/subject"
	"github.com/frondmq/frond/core/transport"
)

// Return codes of an MQTT 3.1.1 CONNACK [MQTT-3.2.2.3].
const (
	refusedVersion     = 1
	refusedIdentifier  = 2
	refusedUnavailable = 3
	refusedUser        = 4
	refusedNotAllowed  = 5
	refusedQoS         = 0x10 // what nats-server answers
)

// refusal is a CONNECT that is answered with a CONNACK and the end of the
// connection.
type refusal struct {
	old    byte // for MQTT 3.1.1
	code   packets.Code
	reason error
}

func (r *refusal) Error() string { return r.reason.Error() }
func (r *refusal) Unwrap() error { return r.reason }

// maxConnect bounds a CONNECT, whose sender nobody knows yet: a will and a password
// of the largest size, and as much again for all else.
const maxConnect = 256 << 10

// readConnect reads and checks the first packet, and gives the property block of its
// will beside it. Whatever is no CONNECT is refused
// by its first byte: nothing else of it is read.
func (c *conn) readConnect() (pk *packets.Packet, will []byte, err error) {
	first, err := c.frames.in.Peek(1)
	if err != nil {
		return nil, nil, err
	}
	f := frame{first: first[0]}
	if f.kind() != packets.Connect {
		return nil, nil, fail(packets.ErrProtocolViolationRequireFirstConnect, "first packet has type %d", f.kind()) // [MQTT-3.1.0-1]
	}
	if err := checkFlags(&f); err != nil {
		return nil, nil, err
	}
	if f, err = c.frames.next(); err != nil {
		return nil, nil, err
	}
	mendOldConnect(f.body)
	if err := checkConnect(f.body); err != nil {
		return nil, nil, err
	}
	pk = &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect, Remaining: len(f.body)}}
	// The codec keeps views of the buffer, so it gets one of its own.
	if err := pk.ConnectDecode(bytes.Clone(f.body)); err != nil {
		return nil, nil, err
	}
	// Not a view of the packet, which holds the password.
	c.clientID = strings.Clone(pk.Connect.ClientIdentifier)
	c.claims = string(pk.Connect.Username)
	c.maxPacket = int(pk.Properties.MaximumPacketSize)
	c.codesOnly = pk.Properties.RequestProblemInfoFlag && pk.Properties.RequestProblemInfo == 0
	if err = c.checkConnect(pk); err == nil && c.version == v5 {
		will = willBlock(f.body)
	}
	return pk, will, err
}

// checkConnect refuses what the protocol forbids and what is not supported.
func (c *conn) checkConnect(pk *packets.Packet) error {
	k := &pk.Connect
	if n := string(k.ProtocolName); n != nameNow && n != name31 {
		// [MQTT-3.1.2-1]
		return fail(packets.ErrMalformedProtocolName, "protocol name %q: only MQTT 3.1, 3.1.1 and 5 are supported", core.Cut(k.ProtocolName))
	}
	c.version, c.bridge = level(k.ProtocolName, pk.ProtocolVersion)
	switch c.version {
	case 0:
		return &refusal{refusedVersion, packets.ErrUnsupportedProtocolVersion, fmt.Errorf("protocol level %d: only MQTT 3.1, 3.1.1 and 5 are supported", pk.ProtocolVersion)}
	case v31:
		c.older, c.version = true, v311
	}
	switch {
	case pk.ReservedBit != 0:
		return fail(packets.ErrProtocolViolationReservedBit, "reserved CONNECT flag") // [MQTT-3.1.2-3]
	case !k.WillFlag && (k.WillQos != 0 || k.WillRetain), k.WillQos == 3:
		return fail(errProtocol, "will flags") // [MQTT-3.1.2-11] [MQTT-3.1.2-12]
	case c.version == v311 && k.PasswordFlag && !k.UsernameFlag:
		return fail(errProtocol, "password without a user name") // [MQTT-3.1.2-22]
	case k.UsernameFlag && (!utf8.Valid(k.Username) || bytes.IndexByte(k.Username, 0) >= 0):
		return &refusal{refusedUser, packets.ErrBadUsernameOrPassword, errors.New("user name is not valid text")}
	case pk.Properties.AuthenticationMethod != "":
		return &refusal{refusedNotAllowed, packets.ErrBadAuthenticationMethod, errors.New("enhanced authentication is not supported")}
	case pk.Properties.AuthenticationData != nil:
		return fail(errProtocol, "authentication data without a method") // [MQTT-3.1.2.11.10]
	case strings.ContainsRune(k.ClientIdentifier, 0):
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, errors.New("client identifier holds a NUL")}
	case c.older && k.ClientIdentifier == "":
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, errors.New("MQTT 3.1 needs a client identifier")}
	case c.version == v311 && k.ClientIdentifier == "" && !k.Clean:
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, errors.New("a kept session needs a client identifier")} // [MQTT-3.1.3-8]
	case c.version == v311 && !k.Clean && !c.m.keeps():
		return errNoSessions
	case k.WillQos == 2 && c.o.MQTT.RejectQoS2:
		return &refusal{refusedQoS, packets.ErrQosNotSupported, errors.New("a will with QoS 2, and mqtt.reject_qos2_publish is set")} // [MQTT-3.2.2-12]
	}
	return nil
}

// authenticate finds out who the client is. The password is offered as a token
// too, as in nats-server.
func (c *conn) authenticate(pk *packets.Packet) error {
	r := &auth.Request{
		Kind: auth.KindMQTT, User: string(pk.Connect.Username),
		Password: string(pk.Connect.Password), Token: string(pk.Connect.Password),
		Client: c.clientID, Naming: levelToken,
	}
	r.Remote, r.TLS = transport.AddrPort(c.nc.RemoteAddr()), transport.TLSState(c.nc)
	r.Peer = core.UnixPeer(c.nc)
	if c.web != nil {
		r.TLS = c.web.TLS
		c.web.Present(r, c.m.services.Options())
	}
	if c.at != nil {
		r.Listener = c.at.name
	}
	g, err := c.m.services.Authenticate(r)
	if err != nil {
		return &refusal{refusedNotAllowed, packets.ErrNotAuthorized, err}
	}
	acc, ok := c.m.services.Account(g.Account)
	if !ok {
		return &refusal{refusedNotAllowed, packets.ErrNotAuthorized, errors.New("account " + g.Account + " does not exist")}
	}
	if c.m.keeps() && !c.m.services.StreamsIn(acc) {
		return &refusal{refusedNotAllowed, packets.ErrNotAuthorized, errors.New("JetStream is not enabled in account " + acc.Name())}
	}
	if !acc.Enter(false) {
		return &refusal{refusedNotAllowed, packets.ErrQuotaExceeded, errors.New("maximum account active connections exceeded")}
	}
	leave := c.leave
	c.leave = func() {
		acc.Leave(false)
		leave()
	}
	c.maxPayload = account.Lower(c.o.MaxPayload, acc.Limits().Payload)
	c.grant, c.account, c.claims = g, acc, ""
	if p := g.Permissions; p != nil && p.Responses() != nil {
		c.replies = subject.NewResponseTracker(p.Responses())
	}
	return nil
}

// prepareWill checks the will's topic and keeps the message; properties is what
// willBlock has given. Without streams a
// retained will is taken without the flag: a server that keeps no retained messages
// has to refuse it by the letter [MQTT-3.2.2-13], and would lock out devices that
// need nothing but the message.
func (c *conn) prepareWill(pk *packets.Packet, properties []byte) error {
	k := &pk.Connect
	if !k.WillFlag {
		return nil
	}
	subj, err := appendSubject(nil, []byte(k.WillTopic), c.topicRules())
	if err == nil && c.tooLong(subj) {
		err = errTopicLong
	}
	if err != nil {
		return fail(packets.ErrTopicNameInvalid, "will topic %q: %w", core.Cut(k.WillTopic), err)
	}
	w := &will{subject: subj, payload: bytes.Clone(k.WillPayload), topic: strings.Clone(k.WillTopic)}
	w.qos, w.retain = k.WillQos, k.WillRetain && c.m.keeps()
	t := translation{dst: appendOwnHeaders(nil, k.WillQos, w.retain), rules: c.topicRules(), most: c.maxSubject(), room: escapedRoom(c.maxPayload)}
	if c.version == v5 {
		if err := t.properties(properties); err != nil {
			return err
		}
	}
	w.header, w.reply = append(t.dst, '\r', '\n'), t.reply
	if t.lost > 0 {
		c.m.lostProperties.Add(uint64(t.lost))
		c.notice(noticeProperty, "will", core.Cut(k.WillTopic), "property", core.Cut(t.example))
	}
	if k.WillRetain && !w.retain {
		c.notice(noticeRetain, "will", core.Cut(k.WillTopic))
	}
	w.delay = pk.Connect.WillProperties.WillDelayInterval
	c.will = w
	return nil
}

// willBlock is the property block of the will in a CONNECT of MQTT 5 that checkConnect
// has walked; nil for no will. The codec's reading of it leaves out what is empty.
func willBlock(body []byte) []byte {
	_, rest, _ := text(body)
	if rest[1]&flagWill == 0 {
		return nil
	}
	n, w := varint(rest[4:])
	_, rest, _ = text(rest[4+w+n:]) // the client identifier
	n, w = varint(rest)
	return bytes.Clone(rest[w : w+n])
}

// newClientID is the identifier of a client that brought none: 22 characters,
// as the protocol promises that every server takes [MQTT-3.1.3-5].
func newClientID() string { return rand.Text()[:22] }

// connack is the positive answer.
func (c *conn) connack(pk *packets.Packet, assigned bool) ([]byte, error) {
	a := &packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connack}}
	a.SessionPresent = c.kept != nil && c.kept.present && !c.older // 3.1 has no such bit
	if c.version == v5 {
		p := &a.Properties
		p.ReceiveMaximum = receiveMaximum
		p.MaximumPacketSize = uint32(announcedSize(c.maxPayload))
		if c.o.MQTT.RejectQoS2 {
			p.MaximumQosFlag, p.MaximumQos = true, 1
		}
		p.RetainAvailableFlag = !c.m.keeps() // and RetainAvailable is 0
		p.TopicAliasMaximum = maxAliases
		if granted := c.kept.granted(); granted != pk.Properties.SessionExpiryInterval {
			if granted == 0 {
				c.notice(noticeSession, "expiry", pk.Properties.SessionExpiryInterval)
			}
			p.SessionExpiryIntervalFlag, p.SessionExpiryInterval = true, granted // [MQTT-3.2.2-21]
		}
		if alive := uint16(c.keepAliveOf(pk) / time.Second); alive != pk.Connect.Keepalive {
			p.ServerKeepAliveFlag, p.ServerKeepAlive = true, alive // [MQTT-3.1.2-21]
		}
		if assigned {
			p.AssignedClientID = c.clientID // [MQTT-3.1.3-7]
		}
		if pk.Properties.RequestResponseInfo == 1 {
			p.ResponseInfo, a.Mods.AllowResponseInfo = c.responseInfo(), true // [MQTT-3.1.2-28]
		}
	}
	return encode(a.ConnackEncode)
}

// keepAliveOf is how often a client has to be heard of; 0 for never. Only MQTT 5 has a
// word for what the server wants.
func (c *conn) keepAliveOf(pk *packets.Packet) time.Duration {
	wanted, most := time.Duration(pk.Connect.Keepalive)*time.Second, c.o.MQTT.MaxKeepAlive
	if c.version == v5 && most > 0 && (wanted == 0 || wanted > most) {
		return most
	}
	return wanted
}

// responseInfo is the topic under which a client may have answers sent to it: it is
// the client's alone by its identifier, and stays so for a session that is kept. ""
// for a client that may not hear them.
func (c *conn) responseInfo() string {
	base := "_INBOX/" + nameHash(c.clientID)
	if p := c.grant.Permissions; p != nil && !p.CanSubscribe("_INBOX."+nameHash(c.clientID)+".>", "") {
		return ""
	}
	return base
}

// announcedSize is the Maximum Packet Size: whatever fits into it is taken. A
// message has to fit into max_payload with its headers, and those are a little
// longer than the properties that they are made of: by their names, and by a
// third for correlation data, which may be binary.
func announcedSize(maxPayload int) int {
	const (
		names       = 256 // of all our headers together
		correlation = 0xffff
	)
	room := max(maxPayload-names-escapedRoom(maxPayload), minPacket)
	if room > 4*correlation {
		return room - (correlation+2)/3
	}
	return max(room/4*3, minPacket)
}

// minPacket is a size that clients can do something with, however low the
// limits are.
const minPacket = 128

// refused is the negative answer.
func (c *conn) refused(r *refusal) ([]byte, error) {
	a := &packets.Packet{ProtocolVersion: c.version, ReasonCode: r.old, FixedHeader: packets.FixedHeader{Type: packets.Connack}}
	if c.version == v5 {
		a.ReasonCode = r.code.Code
	}
	return c.encodeWithReason(a, c.reasonText(toldEnd(a.ReasonCode, r.reason)), a.ConnackEncode)
}

func encode(f func(*bytes.Buffer) error) ([]byte, error) {
	var b bytes.Buffer
	err := f(&b)
	return b.Bytes(), err
}
