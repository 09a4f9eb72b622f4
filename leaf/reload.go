package leaf

import (
	"context"
	"reflect"
	"slices"

	"github.com/frondmq/frond/core/auth"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// Commit takes new certificates, dials the remotes that are there now, and ends
// accepted links whose user is gone or has other rights than before: the spoke comes
// back with those that it has now.
func (m *Module) Commit(_, to *config.Options) {
	if m.listener != nil {
		m.listener.tls.Store(m.nextTLS)
	}
	fresh, gone, err := m.follow(to)
	if err != nil { // Verify has found none
		m.log.Error("A leafnode remote is not dialed", "err", err)
	}
	for _, r := range gone {
		r.cancel()
	}
	for _, r := range fresh {
		m.work.Go(func() { r.run(gone) })
	}
	for _, l := range m.snapshot() {
		l.renew()
	}
}

// follow makes the remotes those of o. One that says the same as before goes on
// with its link, and one that says something else is another one.
func (m *Module) follow(o *config.Options) (fresh, gone []*remote, err error) {
	var now []*remote
	old := m.dialers()
	for i := range o.Leaf.Remotes {
		c := &o.Leaf.Remotes[i]
		if c.Disabled {
			continue
		}
		if at := slices.IndexFunc(old, func(r *remote) bool { return sameRemote(r.config, c) }); at >= 0 {
			now = append(now, old[at])
			old = slices.Delete(old, at, at+1)
			continue
		}
		r, err := m.newRemote(c)
		if err != nil {
			return nil, nil, err
		}
		r.ctx, r.cancel = context.WithCancel(m.ctx)
		now, fresh = append(now, r), append(fresh, r)
	}
	m.mu.Lock()
	m.mu.remotes = now
	m.mu.Unlock()
	return fresh, old, nil
}

// sameRemote compares all but the place in the file.
func sameRemote(a, b *config.Remote) bool {
	x, y := *a, *b
	x.Pos, y.Pos = config.Position{}, config.Position{}
	return reflect.DeepEqual(x, y)
}

// dialers are the remotes of now.
func (m *Module) dialers() []*remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mu.remotes)
}

var errRevoked = &wire.Error{Text: "Authorization Violation", Reason: wire.ReasonAuthFailure}

var errAccountFull = &wire.Error{Text: "maximum account active connections exceeded", Reason: wire.ReasonAccountConnections}

// renew ends an accepted link that would not be let in any more, or to something
// else.
func (l *link) renew() {
	if l.grant == nil {
		return
	}
	if g, ok := l.m.services.Renew(auth.KindLeaf, l.grant); !ok || !g.Same(l.grant) {
		l.fail(wire.ReasonAuthFailure, errRevoked)
	}
}
