package mqtt

import (
	"crypto/tls"
	"errors"
	"strconv"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/transport"
)

// listener is what options make of a port: who comes in there, and how. Nobody
// changes it; a reload makes another one.
type listener struct {
	name    string        // of options; "" is the port of the block itself, and its Unix socket
	tls     *tls.Config   // nil is plain
	timeout time.Duration // for TLS
	auth    time.Duration // to present oneself
	o       *config.MQTTListener
	port    *port // where it is; nil for the block itself
}

// newListener makes one, plain without TLS. Errors are those of the files of TLS.
func newListener(secure *config.TLS, who *config.Authorization) (*listener, error) {
	l := &listener{auth: who.AuthTimeout(secure)}
	if secure == nil {
		return l, nil
	}
	var err error
	l.timeout = secure.Timeout
	l.tls, err = secure.ServerConfig()
	return l, err
}

func (l *listener) announced(ln *transport.Listener) string {
	scheme := "mqtt"
	if l.tls != nil {
		scheme = "tls"
	}
	return scheme + "://" + ln.Announced()
}

// named tells a log of the listener.
func (l *listener) named() string {
	if l == nil || l.name == "" {
		return ""
	}
	return ", by listener " + strconv.Quote(l.name)
}

var errListener = &failure{packets.ErrAdministrativeAction, errors.New("the listener was closed, or changed between plain and TLS")}
