package auth

import (
	"crypto/tls"
	"errors"
	"net/netip"

	"github.com/frondmq/frond/core/subject"
)

// Kind says by which door a peer came.
type Kind uint8

const (
	KindClient Kind = iota
	KindLeaf
	KindMQTT
)

// Request is what a peer presented.
type Request struct {
	Kind Kind
	// Listener names one of several of that kind; "" for the one that has no name.
	Listener string
	// WebSocket and InProcess say more about the door, for users that are
	// limited to some.
	WebSocket bool
	InProcess bool
	User      string
	Password  string
	Token     string
	NKey      string // public user key, with Sig over Nonce
	Sig       string
	JWT       string
	Nonce     string
	Remote    netip.AddrPort
	Peer      *Peer  // nil but on a Unix socket
	Client    string // identifier of an MQTT client
	// Naming makes a name a token of a subject, "" for one that can be none; nil
	// takes it as it is. See WithNames.
	Naming func(name string) string
	TLS    *tls.ConnectionState // nil without TLS
}

// Grant is who a peer is and what it may do. It never changes once given.
type Grant struct {
	Account string
	// User is the name for logs and monitoring, never a secret.
	User string
	// Permissions is nil when everything is allowed.
	Permissions *subject.Permissions

	from origin
}

// Listener is the one of the Request.
func (g *Grant) Listener() string { return g.from.listener }

// ErrDenied is the one answer to every failed authentication; the reason is
// for the log only and wraps it.
var ErrDenied = errors.New("authorization violation")
