package auth

import (
	"fmt"
	"reflect"
	"slices"
)

// origin is how somebody got a Grant; without an entry from a directory that is
// open to everyone.
type origin struct {
	entry    *entry
	how      proof
	door     string
	listener string
	peer     *Peer
	// What names in permissions stand for.
	client string
	naming func(string) string
}

// proof is what was presented.
type proof uint8

const (
	byNothing proof = iota
	byPeer
	byNKey
	byPassword
	byToken
)

// granted fails for who has no name that its permissions hold.
func (e *entry) granted(from origin) (*Grant, error) {
	g := e.grant
	g.from = from
	if e.named {
		var err error
		if g.Permissions, err = e.grant.Permissions.WithNames(from.token(g.User), from.token(from.client)); err != nil {
			return nil, fmt.Errorf("user %q: %w", g.User, err)
		}
	}
	return &g, nil
}

func (o *origin) token(name string) string {
	if o.naming == nil {
		return name
	}
	return o.naming(name)
}

// Renew gives the holder of a Grant of another directory what this one grants it,
// as far as that is known without asking it again: permissions may be others, and
// so may the account. It reports false when the user is gone, has another secret, or
// may not use its door any more.
func (d *Directory) Renew(g *Grant) (*Grant, bool) {
	from := g.from
	var e *entry
	switch {
	case d.Open():
		// What was proved counts again when there are users again.
		return &Grant{Account: GlobalAccount, User: g.User, from: from}, true
	case from.entry == nil: // everyone was welcome
		if e, from.how = d.stand, byNothing; g.User != "" {
			return nil, false
		}
	default:
		e = d.again(g)
	}
	if e == nil || len(e.doors) > 0 && !slices.Contains(e.doors, from.door) {
		return nil, false
	}
	from.entry = e
	renewed, err := e.granted(from)
	return renewed, err == nil
}

// again finds who proved to be the one of g in the same way.
func (d *Directory) again(g *Grant) *entry {
	old := g.from.entry
	var e *entry
	switch g.from.how {
	case byNothing:
		e = d.stand
	case byPeer:
		e = d.ofPeer(g.from.peer)
	case byNKey:
		return d.nkeys[g.User]
	case byPassword:
		e = d.users[g.User]
	case byToken:
		e = d.token
	}
	if e == nil || e.grant.User != g.User {
		return nil
	}
	if how := g.from.how; (how == byPassword || how == byToken) && !e.secret.equal(&old.secret) {
		return nil
	}
	return e
}

func (s *secret) equal(t *secret) bool {
	return s.set == t.set && s.plain == t.plain && string(s.hash) == string(t.hash)
}

// Same reports whether h gives the same rights to the same user.
func (g *Grant) Same(h *Grant) bool {
	if g.Account != h.Account || g.User != h.User || (g.Permissions == nil) != (h.Permissions == nil) {
		return false
	}
	p, q := g.Permissions, h.Permissions
	return p == nil || reflect.DeepEqual(p.PubRules(), q.PubRules()) && reflect.DeepEqual(p.SubRules(), q.SubRules()) &&
		reflect.DeepEqual(p.Responses(), q.Responses())
}
