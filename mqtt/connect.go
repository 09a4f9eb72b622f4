package mqtt

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/auth"
)

// Return codes of an MQTT 3.1.1 CONNACK [MQTT-3.2.2.3].
const (
	refusedVersion     = 1
	refusedIdentifier  = 2
	refusedUnavailable = 3
	refusedUser        = 4
	refusedNotAllowed  = 5
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

// readConnect reads and checks the first packet.
func (c *conn) readConnect() (*packets.Packet, error) {
	f, err := c.frames.next()
	if err != nil {
		return nil, err
	}
	if f.kind() != packets.Connect {
		return nil, fail(packets.ErrProtocolViolationRequireFirstConnect, "first packet has type %d", f.kind()) // [MQTT-3.1.0-1]
	}
	if err := checkFlags(&f); err != nil {
		return nil, err
	}
	if err := checkConnect(f.body); err != nil {
		return nil, err
	}
	pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect, Remaining: len(f.body)}}
	// The codec keeps views of the buffer, so it gets one of its own.
	if err := pk.ConnectDecode(bytes.Clone(f.body)); err != nil {
		return nil, err
	}
	// Not a view of the packet, which holds the password.
	c.clientID = strings.Clone(pk.Connect.ClientIdentifier)
	return pk, c.checkConnect(pk)
}

// checkConnect refuses what the protocol forbids and what is not supported.
func (c *conn) checkConnect(pk *packets.Packet) error {
	k := &pk.Connect
	if string(k.ProtocolName) != "MQTT" {
		// [MQTT-3.1.2-1]
		return fail(packets.ErrMalformedProtocolName, "protocol name %q: only MQTT 3.1.1 and MQTT 5 are supported", k.ProtocolName)
	}
	if pk.ProtocolVersion != v311 && pk.ProtocolVersion != v5 {
		return &refusal{refusedVersion, packets.ErrUnsupportedProtocolVersion, fmt.Errorf("protocol level %d: only MQTT 3.1.1 and MQTT 5 are supported", pk.ProtocolVersion)}
	}
	c.version = pk.ProtocolVersion
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
	case strings.ContainsRune(k.ClientIdentifier, 0):
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, errors.New("client identifier holds a NUL")}
	case c.version == v311 && k.ClientIdentifier == "" && !k.Clean:
		return &refusal{refusedIdentifier, packets.ErrClientIdentifierNotValid, errors.New("a kept session needs a client identifier")} // [MQTT-3.1.3-8]
	case c.version == v311 && !k.Clean:
		// There is no way to tell an MQTT 3.1.1 client that its session will
		// not be kept, so it must not think that it is.
		return &refusal{refusedUnavailable, packets.ErrServerUnavailable,
			errors.New("sessions that outlive the connection are not supported yet: connect with a clean session")}
	case k.WillQos == 2:
		return &refusal{refusedUnavailable, packets.ErrQosNotSupported, errors.New("a will with QoS 2 is not supported yet")} // [MQTT-3.2.2-12]
	case k.WillRetain:
		return &refusal{refusedUnavailable, packets.ErrRetainNotSupported, errors.New("a retained will is not supported yet")} // [MQTT-3.2.2-13]
	}
	return nil
}

// authenticate finds out who the client is. The password is offered as a token
// too, as in nats-server.
func (c *conn) authenticate(pk *packets.Packet) error {
	r := &auth.Request{
		Kind: auth.KindMQTT, User: string(pk.Connect.Username),
		Password: string(pk.Connect.Password), Token: string(pk.Connect.Password),
	}
	if a, err := netip.ParseAddrPort(c.nc.RemoteAddr().String()); err == nil {
		r.Remote = a
	}
	if tc, ok := c.nc.(*tls.Conn); ok {
		state := tc.ConnectionState()
		r.TLS = &state
	}
	g, err := c.m.services.Authenticate(r)
	if err != nil {
		return &refusal{refusedNotAllowed, packets.ErrNotAuthorized, err}
	}
	acc, ok := c.m.services.Account(g.Account)
	if !ok {
		return &refusal{refusedNotAllowed, packets.ErrNotAuthorized, errors.New("account " + g.Account + " does not exist")}
	}
	c.grant, c.account = g, acc
	return nil
}

// prepareWill checks the will's topic and keeps the message.
func (c *conn) prepareWill(pk *packets.Packet) error {
	k := &pk.Connect
	if !k.WillFlag {
		return nil
	}
	subj, err := appendSubject(nil, []byte(k.WillTopic), false)
	if err != nil {
		return fail(packets.ErrTopicNameInvalid, "will topic %q: %w", k.WillTopic, err)
	}
	w := &will{subject: subj, payload: bytes.Clone(k.WillPayload), topic: strings.Clone(k.WillTopic)}
	w.header = append(w.header, "NATS/1.0\r\n"+headerQoS+":"...)
	w.header = append(w.header, '0'+k.WillQos, '\r', '\n')
	if c.version == v5 {
		if w.header, err = willHeaders(w.header, &k.WillProperties); err != nil {
			return err
		}
	}
	w.header = append(w.header, '\r', '\n')
	c.will = w
	return nil
}

// willHeaders turns the properties of a will into headers by way of their
// wire form, so that there is one translation only.
func willHeaders(dst []byte, p *packets.Properties) ([]byte, error) {
	var block bytes.Buffer
	p.Encode(packets.Publish, packets.Mods{AllowResponseInfo: true}, &block, 0)
	b := block.Bytes()
	_, w := varint(b)
	return appendHeaders(dst, b[w:])
}

// newClientID is the identifier of a client that brought none: 22 characters,
// as the protocol promises that every server takes [MQTT-3.1.3-5].
func newClientID() string { return rand.Text()[:22] }

// connack is the positive answer.
func (c *conn) connack(pk *packets.Packet, assigned bool) ([]byte, error) {
	a := &packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connack}}
	if c.version == v5 {
		p := &a.Properties
		p.ReceiveMaximum = receiveMaximum
		p.MaximumPacketSize = uint32(c.frames.limit)
		p.MaximumQosFlag, p.MaximumQos = true, 1
		p.RetainAvailableFlag, p.RetainAvailable = true, 0
		p.SubIDAvailableFlag, p.SubIDAvailable = true, 0
		if pk.Properties.SessionExpiryInterval > 0 {
			// The session ends with the connection, whatever was asked for.
			c.log.Info("MQTT session will end with its connection: longer sessions are not supported yet",
				"client", c.clientID, "expiry", pk.Properties.SessionExpiryInterval)
			p.SessionExpiryIntervalFlag, p.SessionExpiryInterval = true, 0
		}
		if assigned {
			p.AssignedClientID = c.clientID // [MQTT-3.1.3-7]
		}
	}
	return encode(a.ConnackEncode)
}

// refused is the negative answer.
func (c *conn) refused(r *refusal) ([]byte, error) {
	a := &packets.Packet{ProtocolVersion: c.version, ReasonCode: r.old, FixedHeader: packets.FixedHeader{Type: packets.Connack}}
	if c.version == v5 {
		a.ReasonCode = r.code.Code
	}
	return encode(a.ConnackEncode)
}

func encode(f func(*bytes.Buffer) error) ([]byte, error) {
	var b bytes.Buffer
	err := f(&b)
	return b.Bytes(), err
}
