package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"

	"github.com/frondmq/frond/core/subject"
)

// GlobalAccount is where everyone is who has no account of his own.
const GlobalAccount = "$G"

// User is one who may come in: by name and password, or by nkey.
type User struct {
	Name     string
	Password string // plain or bcrypt
	NKey     string // public user key
	Account  string // "" is GlobalAccount
	// Permissions is nil when everything is allowed.
	Permissions *subject.Permissions
	// Doors are names of connection types (STANDARD, LEAFNODE, MQTT ...);
	// empty allows every door.
	Doors []string
}

// Directory is all who may come in by one door. It never changes once made and
// is safe for concurrent use.
type Directory struct {
	users map[string]*User
	nkeys map[string]*User
	token string
	// stand is the user for those who present nothing, nil for none.
	stand *User
}

// NewDirectory checks and indexes users. noAuthUser names the user that stands
// for everybody who presents nothing; "" refuses them. With no users and no
// token everybody is welcome.
func NewDirectory(users []User, token, noAuthUser string) (*Directory, error) {
	d := &Directory{users: map[string]*User{}, nkeys: map[string]*User{}, token: token}
	for i := range users {
		u := &users[i]
		index, key := d.users, u.Name
		if u.NKey != "" {
			index, key = d.nkeys, u.NKey
			if !nkeys.IsValidPublicUserKey(key) {
				return nil, fmt.Errorf("user %q: not a public user nkey", key)
			}
		}
		if _, ok := index[key]; ok {
			return nil, fmt.Errorf("user %q is there twice", key)
		}
		index[key] = u
	}
	if noAuthUser != "" {
		u, ok := d.users[noAuthUser]
		if !ok {
			u, ok = d.nkeys[noAuthUser]
		}
		if !ok {
			return nil, fmt.Errorf("no_auth_user %q is not a user", noAuthUser)
		}
		d.stand = u
	}
	return d, nil
}

// Required reports whether peers must present something.
func (d *Directory) Required() bool {
	return d.stand == nil && !d.Open()
}

// Open reports whether nobody is configured, so that everyone is welcome.
func (d *Directory) Open() bool {
	return len(d.users) == 0 && len(d.nkeys) == 0 && d.token == ""
}

// HasNKeys reports whether some user signs a nonce to come in.
func (d *Directory) HasNKeys() bool { return len(d.nkeys) > 0 }

// HasStand reports whether there is a user for those who present nothing.
func (d *Directory) HasStand() bool { return d.stand != nil }

// Authenticate finds out who r is. Errors wrap ErrDenied and say why, for the
// log only.
func (d *Directory) Authenticate(r *Request) (*Grant, error) {
	if d.Open() {
		return &Grant{Account: GlobalAccount, User: r.User}, nil
	}
	switch {
	case r.NKey != "":
		return d.byNKey(r)
	case r.User == "" && r.Password == "" && r.Token == "" && d.stand != nil:
		return d.stand.grant(r.Kind)
	case len(d.users) > 0:
		return d.byPassword(r)
	case d.token != "":
		return d.byToken(r)
	}
	return nil, fmt.Errorf("%w: nothing presented", ErrDenied)
}

func (d *Directory) byNKey(r *Request) (*Grant, error) {
	u, ok := d.nkeys[r.NKey]
	if !ok {
		return nil, fmt.Errorf("%w: unknown nkey", ErrDenied)
	}
	sig, err := base64.RawURLEncoding.DecodeString(r.Sig)
	if err != nil {
		if sig, err = base64.StdEncoding.DecodeString(r.Sig); err != nil {
			return nil, fmt.Errorf("%w: signature is not base64", ErrDenied)
		}
	}
	key, err := nkeys.FromPublicKey(u.NKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDenied, err)
	}
	if r.Nonce == "" || key.Verify([]byte(r.Nonce), sig) != nil {
		return nil, fmt.Errorf("%w: wrong signature", ErrDenied)
	}
	return u.grant(r.Kind)
}

func (d *Directory) byPassword(r *Request) (*Grant, error) {
	u, ok := d.users[r.User]
	if !ok {
		return nil, fmt.Errorf("%w: unknown user %q", ErrDenied, r.User)
	}
	if !samePassword(u.Password, r.Password) {
		return nil, fmt.Errorf("%w: wrong password of user %q", ErrDenied, r.User)
	}
	return u.grant(r.Kind)
}

func (d *Directory) byToken(r *Request) (*Grant, error) {
	token := r.Token
	if token == "" && r.Kind == KindMQTT {
		token = r.Password // MQTT has no place for a token
	}
	if !samePassword(d.token, token) {
		return nil, fmt.Errorf("%w: wrong token", ErrDenied)
	}
	return &Grant{Account: GlobalAccount, User: "[REDACTED]"}, nil
}

func (u *User) grant(k Kind) (*Grant, error) {
	if len(u.Doors) > 0 && !slices.Contains(u.Doors, k.door()) {
		return nil, fmt.Errorf("%w: connection type %s is not allowed", ErrDenied, k.door())
	}
	g := &Grant{Account: u.Account, User: u.Name, Permissions: u.Permissions}
	if g.Account == "" {
		g.Account = GlobalAccount
	}
	if u.NKey != "" {
		g.User = u.NKey
	}
	return g, nil
}

func (k Kind) door() string {
	switch k {
	case KindLeaf:
		return "LEAFNODE"
	case KindMQTT:
		return "MQTT"
	default:
		return "STANDARD"
	}
}

// samePassword takes as long for a wrong password as for the right one.
func samePassword(want, got string) bool {
	if isBcrypt(want) {
		return bcrypt.CompareHashAndPassword([]byte(want), []byte(got)) == nil
	}
	return subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

func isBcrypt(s string) bool {
	return len(s) == 60 && (strings.HasPrefix(s, "$2a$") || strings.HasPrefix(s, "$2b$") ||
		strings.HasPrefix(s, "$2x$") || strings.HasPrefix(s, "$2y$"))
}
