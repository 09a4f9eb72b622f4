package auth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nkeys"

	"github.com/frondmq/frond/core/subject"
)

// GlobalAccount is where everyone is who has no account of his own.
const GlobalAccount = "$G"

// User is one who may come in: by name and password, or by nkey.
type User struct {
	Name string
	// Password is plain or a bcrypt hash. Without one nobody can come in by
	// this name, but it may stand for those who present nothing.
	Password string
	NKey     string // public user key
	Account  string // "" is GlobalAccount
	// Permissions is nil when everything is allowed.
	Permissions *subject.Permissions
	// Doors are connection types, see Door; empty allows every door.
	Doors []string
}

// Directory is all who may come in by one door. It never changes once made and
// is safe for concurrent use; a reload makes a new one.
type Directory struct {
	users map[string]*entry
	nkeys map[string]*entry
	token *entry // nil for none
	// stand is the user for those who present nothing, nil for none.
	stand *entry
	peers []peerEntry // of a Unix socket
	// decoy is compared with when the name is unknown, so that the time of the
	// answer does not tell which names are known.
	decoy secret
}

type entry struct {
	secret secret
	doors  []string
	grant  Grant
	named  bool // the permissions hold names
}

// NewDirectory checks and indexes users. A token may be a bcrypt hash.
// noAuthUser names the user that stands for everybody who presents nothing; ""
// refuses them. With no users and no token everybody is welcome. Errors name
// the user and contain no secret.
func NewDirectory(users []User, token, noAuthUser string) (*Directory, error) {
	d := &Directory{users: map[string]*entry{}, nkeys: map[string]*entry{}}
	for i := range users {
		if err := d.add(&users[i]); err != nil {
			return nil, err
		}
	}
	if token != "" {
		d.token = &entry{secret: newSecret(token), grant: Grant{Account: GlobalAccount, User: "[REDACTED]"}}
	}
	if noAuthUser != "" {
		d.stand = d.users[noAuthUser]
		if d.stand == nil {
			d.stand = d.nkeys[noAuthUser]
		}
		if d.stand == nil {
			return nil, fmt.Errorf("no_auth_user %q is not a user", noAuthUser)
		}
	}
	return d, nil
}

func (d *Directory) add(u *User) error {
	e := &entry{
		secret: newSecret(u.Password),
		doors:  slices.Clone(u.Doors),
		grant:  Grant{Account: u.Account, User: u.Name, Permissions: u.Permissions},
	}
	if e.grant.Account == "" {
		e.grant.Account = GlobalAccount
	}
	e.named = e.grant.Permissions != nil && e.grant.Permissions.Named()
	index, key := d.users, u.Name
	switch {
	case u.NKey != "" && u.Name != "":
		return fmt.Errorf("user %q: has an nkey too, it must be one or the other", u.Name)
	case u.NKey != "":
		index, key = d.nkeys, u.NKey
		if !nkeys.IsValidPublicUserKey(key) {
			return fmt.Errorf("user %q: not a public user nkey", key)
		}
		e.grant.User = key
	case u.Name == "":
		return errors.New("a user has neither a name nor an nkey")
	}
	for _, door := range u.Doors {
		if !knownDoor(door) {
			return fmt.Errorf("user %q: unknown connection type %q", key, door)
		}
	}
	if index[key] != nil {
		return fmt.Errorf("user %q is there twice", key)
	}
	index[key] = e
	if e.secret.cost() > d.decoy.cost() {
		d.decoy = e.secret
	}
	return nil
}

// Required reports whether peers must present something.
func (d *Directory) Required() bool {
	return d.stand == nil && !d.Open()
}

// Open reports whether nobody is configured, so that everyone is welcome.
func (d *Directory) Open() bool {
	return len(d.users) == 0 && len(d.nkeys) == 0 && d.token == nil
}

// HasNKeys reports whether some user signs a nonce to come in.
func (d *Directory) HasNKeys() bool { return len(d.nkeys) > 0 }

// Authenticate finds out who r is. Errors wrap ErrDenied and say why, for the
// log only.
func (d *Directory) Authenticate(r *Request) (*Grant, error) {
	if d.Open() {
		return &Grant{Account: GlobalAccount, User: r.User, from: origin{door: r.Door(), listener: r.Listener, peer: r.Peer}}, nil
	}
	e, how, err := d.find(r)
	if err != nil && r.JWT != "" {
		err = fmt.Errorf("%w; the user JWT it presented is not looked at: operator mode is not supported", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDenied, err)
	}
	if door := r.Door(); len(e.doors) > 0 && !slices.Contains(e.doors, door) {
		return nil, fmt.Errorf("%w: user %q may not come in as %s", ErrDenied, e.grant.User, door)
	}
	g, err := e.granted(origin{entry: e, how: how, door: r.Door(), listener: r.Listener, peer: r.Peer, client: r.Client, naming: r.Naming})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return g, nil
}

// find checks what was presented: nothing at all by one whom the system knows,
// nkey, nothing at all, a name, a token, in this order.
func (d *Directory) find(r *Request) (e *entry, how proof, err error) {
	if e := d.ofPeer(r.Peer); e != nil && r.bare(e.grant.User) {
		return e, byPeer, nil
	}
	switch {
	case r.NKey != "":
		e, err = d.byNKey(r)
		return e, byNKey, err
	case r.User == "" && r.Password == "" && r.Token == "" && d.stand != nil:
		return d.stand, byNothing, nil
	case r.User != "" && len(d.users) > 0:
		e, err = d.byPassword(r)
		return e, byPassword, err
	case d.token != nil:
		e, err = d.byToken(r)
		return e, byToken, err
	}
	return nil, byNothing, errors.New("nothing presented that is known here")
}

func (d *Directory) byNKey(r *Request) (*entry, error) {
	e := d.nkeys[r.NKey]
	if e == nil {
		return nil, fmt.Errorf("unknown nkey %q", r.NKey)
	}
	if err := verifyNonce(r.NKey, r.Nonce, r.Sig); err != nil {
		return nil, fmt.Errorf("nkey %q: %w", r.NKey, err)
	}
	return e, nil
}

func (d *Directory) byPassword(r *Request) (*entry, error) {
	e := d.users[r.User]
	if e == nil {
		d.decoy.matches(r.Password)
		return nil, fmt.Errorf("unknown user %q", r.User)
	}
	if !e.secret.matches(r.Password) {
		return nil, fmt.Errorf("wrong password of user %q", r.User)
	}
	return e, nil
}

func (d *Directory) byToken(r *Request) (*entry, error) {
	token := r.Token
	if token == "" && r.Kind == KindMQTT {
		token = r.Password // MQTT has no place for a token
	}
	if !d.token.secret.matches(token) {
		return nil, errors.New("wrong token")
	}
	return d.token, nil
}
