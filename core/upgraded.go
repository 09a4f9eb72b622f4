package core

import (
	"crypto/tls"
	"log/slog"
	"net/netip"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
)

// Upgraded is what a connection over a WebSocket brings with it.
type Upgraded struct {
	TLS *tls.ConnectionState // nil without TLS
	// Forwarded is the address that a proxy says it is from, for the log; anybody may
	// say anything. Invalid where there is none.
	Forwarded netip.Addr

	cookies map[string]string
}

// Named is a logger of the connection that also says whom a proxy has it from. w may be
// nil: then it came by no WebSocket.
func (w *Upgraded) Named(l *slog.Logger) *slog.Logger {
	if w == nil || !w.Forwarded.IsValid() {
		return l
	}
	return l.With("forwarded_for", w.Forwarded.String())
}

// Present fills in what r does not say itself from the cookies that the options name,
// and by which door it came. w may be nil: then it came by no WebSocket.
func (w *Upgraded) Present(r *auth.Request, o *config.Options) {
	if w == nil {
		return
	}
	r.WebSocket = true
	names := &o.WebSocket
	for _, c := range []struct {
		to   *string
		name string
	}{{&r.User, names.UserCookie}, {&r.Password, names.PassCookie}, {&r.Token, names.TokenCookie}} {
		if *c.to == "" && c.name != "" {
			*c.to = w.cookies[c.name]
		}
	}
}
