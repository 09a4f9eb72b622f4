package core

import (
	"crypto/tls"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/outbound"
)

// snapshot is what options make of the server. Nobody changes it: other options
// make another one, which takes its place. Whoever begins something takes the
// current one once and stays with it, so that nothing is half of one and half of
// the other; what a limit of the moment is, is read from the current one.
type snapshot struct {
	o        *config.Options
	doors    doors
	tls      *tls.Config // of the client port, nil for plain TCP
	loadedAt time.Time
	outbound outbound.Kind // of clients
	tenants  *tenants
	web      *webSnapshot
}

// newSnapshot reads what the options name: certificates, and users.
func (s *Server) newSnapshot(o *config.Options) (*snapshot, error) {
	n := &snapshot{o: o, loadedAt: time.Now(), outbound: outbound.Kind{
		Pool: &s.pool, Limit: o.MaxPending, Deadline: o.WriteDeadline, Retry: o.WriteTimeout == "retry",
	}}
	var err error
	if n.doors, err = newDoors(o); err != nil {
		return nil, err
	}
	if o.TLS != nil {
		if n.tls, err = o.TLS.ServerConfig(); err != nil {
			return nil, optionError(o, "tls", err)
		}
	}
	if n.web, err = s.newWebSnapshot(o); err != nil {
		return nil, err
	}
	return n, nil
}

// Options are those that hold now. They must not be changed, and others may take
// their place: who needs several that belong together asks once.
func (s *Server) Options() *config.Options { return s.current.Load().o }
