package auth

import (
	"fmt"
	"slices"
)

// Peer is who the system says connects over a Unix socket.
type Peer struct {
	UID    uint32
	Groups []uint32
}

// PeerUser makes a user of who connects as a user or as a member of a group of
// the system. Nil is any.
type PeerUser struct {
	UID, GID *uint32
	User     string // a name or an nkey
}

func (u *PeerUser) fits(p *Peer) bool {
	return (u.UID == nil || *u.UID == p.UID) && (u.GID == nil || slices.Contains(p.Groups, *u.GID))
}

// peerEntry is a PeerUser that is known.
type peerEntry struct {
	PeerUser
	entry *entry
}

// WithPeers is d for a Unix socket: who fits one of users need not prove who it
// is. The first that fits holds; everybody else comes in as by any other door.
// The error names a user that d does not know; at is its place in users.
func (d *Directory) WithPeers(users []PeerUser) (with *Directory, at int, err error) {
	c := *d
	c.peers = make([]peerEntry, len(users))
	for i, u := range users {
		e := d.users[u.User]
		if e == nil {
			e = d.nkeys[u.User]
		}
		if e == nil {
			return nil, i, fmt.Errorf("%q is not a user", u.User)
		}
		c.peers[i] = peerEntry{u, e}
	}
	return &c, 0, nil
}

// ofPeer is who p is without a proof, nil for nobody.
func (d *Directory) ofPeer(p *Peer) *entry {
	if p == nil {
		return nil
	}
	for i := range d.peers {
		if d.peers[i].fits(p) {
			return d.peers[i].entry
		}
	}
	return nil
}

// RequiredOf reports whether p, nil for peers that are not on a Unix socket, must
// present something.
func (d *Directory) RequiredOf(p *Peer) bool { return d.Required() && d.ofPeer(p) == nil }

// bare reports whether r presents nothing to prove who it is, and says to be
// nobody else than user.
func (r *Request) bare(user string) bool {
	return r.Password == "" && r.Token == "" && r.NKey == "" && (r.User == "" || r.User == user)
}
