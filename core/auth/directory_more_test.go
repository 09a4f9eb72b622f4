package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestNewDirectory_refuses(t *testing.T) {
	public, _ := mustUserKey(t)
	for _, test := range []struct {
		name   string
		users  []User
		noAuth string
		want   string
	}{
		{"a user without anything", []User{{Password: "x"}}, "", "neither a name nor an nkey"},
		{"a name and an nkey", []User{{Name: "a", NKey: public}}, "", "one or the other"},
		{"a key that is none", []User{{NKey: "UABC"}}, "", "not a public user nkey"},
		{"a name twice", []User{{Name: "a"}, {Name: "a"}}, "", "there twice"},
		{"an nkey twice", []User{{NKey: public}, {NKey: public}}, "", "there twice"},
		{"an unknown door", []User{{Name: "a", Doors: []string{"WINDOW"}}}, "", `unknown connection type "WINDOW"`},
		{"a missing no_auth_user", []User{{Name: "a"}}, "b", `no_auth_user "b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewDirectory(test.users, "", test.noAuth)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestDirectory_doors(t *testing.T) {
	all := []string{DoorStandard, DoorWebSocket, DoorLeaf, DoorLeafWebSocket, DoorMQTT, DoorMQTTWebSocket, DoorInProcess}
	requests := map[string]Request{
		DoorStandard:      {Kind: KindClient},
		DoorWebSocket:     {Kind: KindClient, WebSocket: true},
		DoorLeaf:          {Kind: KindLeaf},
		DoorLeafWebSocket: {Kind: KindLeaf, WebSocket: true},
		DoorMQTT:          {Kind: KindMQTT},
		DoorMQTTWebSocket: {Kind: KindMQTT, WebSocket: true},
		DoorInProcess:     {Kind: KindClient, InProcess: true},
	}
	for _, allowed := range all {
		d := mustDirectory(t, []User{{Name: "a", Password: "p", Doors: []string{allowed}}}, "", "")
		for door, r := range requests {
			r.User, r.Password = "a", "p"
			_, err := d.Authenticate(&r)
			if (err == nil) != (door == allowed) {
				t.Errorf("allowed %s, came by %s: %v", allowed, door, err)
			}
		}
	}
}

func TestDirectory_userWithoutPassword(t *testing.T) {
	d := mustDirectory(t, []User{{Name: "anon", Account: "A"}}, "", "anon")
	for _, r := range []Request{{User: "anon"}, {User: "anon", Password: "x"}} {
		if g, err := d.Authenticate(&r); !errors.Is(err, ErrDenied) {
			t.Errorf("%+v got %+v, %v", r, g, err)
		}
	}
	if g, err := d.Authenticate(&Request{}); err != nil || g.Account != "A" {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestDirectory_tellsOfAnUnusedJWT(t *testing.T) {
	d := mustDirectory(t, []User{{Name: "a", Password: "p"}}, "", "")
	_, err := d.Authenticate(&Request{JWT: "a.b.c", Sig: "x"})
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "operator mode is not supported") {
		t.Errorf("got %v", err)
	}
}

func TestDirectory_keepsSecretsOutOfErrors(t *testing.T) {
	d := mustDirectory(t, []User{{Name: "a", Password: "hunter2"}}, "swordfish", "")
	for _, r := range []Request{{User: "a", Password: "guess1"}, {Token: "guess2"}, {User: "b", Password: "guess3"}} {
		_, err := d.Authenticate(&r)
		if err == nil {
			t.Fatalf("%+v came in", r)
		}
		for _, secret := range []string{"hunter2", "swordfish", "guess"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v tells %q", err, secret)
			}
		}
	}
}
