package auth

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"
)

func mustDirectory(t *testing.T, users []User, token, stand string) *Directory {
	t.Helper()
	d, err := NewDirectory(users, token, stand)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirectory_passwords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hidden"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	d := mustDirectory(t, []User{
		{Name: "ann", Password: "secret"},
		{Name: "bob", Password: string(hash), Account: "B"},
		{Name: "dev", Password: "x", Doors: []string{"MQTT"}},
	}, "", "")
	if !d.Required() {
		t.Error("not required")
	}
	for _, test := range []struct {
		name string
		r    Request
		want string // account, "" for denied
	}{
		{"plain", Request{User: "ann", Password: "secret"}, "$G"},
		{"plain, wrong", Request{User: "ann", Password: "secret2"}, ""},
		{"plain, empty", Request{User: "ann"}, ""},
		{"bcrypt", Request{User: "bob", Password: "hidden"}, "B"},
		{"bcrypt, wrong", Request{User: "bob", Password: "Hidden"}, ""},
		{"bcrypt, the hash itself", Request{User: "bob", Password: string(hash)}, ""},
		{"unknown", Request{User: "eve", Password: "secret"}, ""},
		{"nothing", Request{}, ""},
		{"a token where there is none", Request{Token: "secret"}, ""},
		{"own door", Request{User: "dev", Password: "x", Kind: KindMQTT}, "$G"},
		{"other door", Request{User: "dev", Password: "x", Kind: KindLeaf}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := d.Authenticate(&test.r)
			switch {
			case test.want == "" && !errors.Is(err, ErrDenied):
				t.Errorf("got %+v, %v", g, err)
			case test.want != "" && (err != nil || g.Account != test.want || g.User != test.r.User):
				t.Errorf("got %+v, %v", g, err)
			}
		})
	}
}

func TestDirectory_token(t *testing.T) {
	d := mustDirectory(t, nil, "tok", "")
	for _, test := range []struct {
		r  Request
		ok bool
	}{
		{Request{Token: "tok"}, true},
		{Request{Token: "to"}, false},
		{Request{}, false},
		{Request{Password: "tok"}, false},
		{Request{Password: "tok", Kind: KindMQTT}, true},
	} {
		if _, err := d.Authenticate(&test.r); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.r, err)
		}
	}
}

func TestDirectory_nkey(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := kp.PublicKey()
	d := mustDirectory(t, []User{{NKey: pub}}, "", "")
	sig, _ := kp.Sign([]byte("nonce-text"))
	r := Request{NKey: pub, Nonce: "nonce-text", Sig: base64.RawURLEncoding.EncodeToString(sig)}
	if g, err := d.Authenticate(&r); err != nil || g.User != pub {
		t.Errorf("got %+v, %v", g, err)
	}
	r.Sig = base64.StdEncoding.EncodeToString(sig)
	if _, err := d.Authenticate(&r); err != nil {
		t.Errorf("standard base64: %v", err)
	}
	for _, bad := range []Request{
		{NKey: pub, Nonce: "other", Sig: r.Sig},
		{NKey: pub, Nonce: "nonce-text", Sig: "%"},
		{NKey: pub, Nonce: "nonce-text"},
		{NKey: "UNOBODY", Nonce: "nonce-text", Sig: r.Sig},
	} {
		if g, err := d.Authenticate(&bad); !errors.Is(err, ErrDenied) {
			t.Errorf("%+v: got %+v, %v", bad, g, err)
		}
	}
}

func TestDirectory_whoPresentsNothing(t *testing.T) {
	users := []User{{Name: "guest", Password: "g", Account: "GUESTS"}}
	d := mustDirectory(t, users, "", "guest")
	if d.Required() {
		t.Error("required, but there is a user for everybody")
	}
	if g, err := d.Authenticate(&Request{}); err != nil || g.Account != "GUESTS" {
		t.Errorf("got %+v, %v", g, err)
	}
	if _, err := d.Authenticate(&Request{User: "guest", Password: "wrong"}); !errors.Is(err, ErrDenied) {
		t.Errorf("a wrong password became the guest: %v", err)
	}
	if _, err := NewDirectory(users, "", "nobody"); err == nil {
		t.Error("an unknown no_auth_user was taken")
	}
	if _, err := NewDirectory(append(users, users...), "", ""); err == nil {
		t.Error("a user was taken twice")
	}
	if _, err := NewDirectory([]User{{NKey: "nonsense"}}, "", ""); err == nil {
		t.Error("a bad nkey was taken")
	}
}

func TestDirectory_open(t *testing.T) {
	d := mustDirectory(t, nil, "", "")
	if g, err := d.Authenticate(&Request{User: "me", Password: "x"}); err != nil || g.Account != GlobalAccount || g.User != "me" {
		t.Errorf("got %+v, %v", g, err)
	}
	if d.Required() {
		t.Error("required")
	}
}
