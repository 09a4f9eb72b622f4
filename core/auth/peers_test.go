package auth

import (
	"errors"
	"strings"
	"testing"
)

func number(n uint32) *uint32 { return &n }

func TestDirectory_withPeers(t *testing.T) {
	const key = "UCBIG6VZBCTOV4ISMAUV5C2R6W34H522RWN76O2ELOHOEV57IPMTYOEE"
	d := mustDirectory(t, []User{
		{Name: "alice", Password: "secret"}, {Name: "bob"}, {Name: "dev", Doors: []string{DoorMQTT}}, {NKey: key},
	}, "", "")
	with, _, err := d.WithPeers([]PeerUser{
		{UID: number(1000), GID: number(5), User: "bob"},
		{UID: number(1000), User: "alice"},
		{GID: number(20), User: "bob"},
		{UID: number(7), User: "dev"},
		{UID: number(8), User: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := &Peer{UID: 1000, Groups: []uint32{1000}}, &Peer{UID: 1001, Groups: []uint32{1001, 4, 20}}
	for _, c := range []struct {
		name string
		r    Request
		want string // "" for nobody
	}{
		{"by uid", Request{Peer: alice}, "alice"},
		{"by group", Request{Peer: bob}, "bob"},
		{"uid and group, the first that fits", Request{Peer: &Peer{UID: 1000, Groups: []uint32{1, 5}}}, "bob"},
		{"by the name that it has anyway", Request{Peer: alice, User: "alice"}, "alice"},
		{"by another name", Request{Peer: alice, User: "bob"}, ""},
		{"with a wrong password", Request{Peer: alice, User: "alice", Password: "wrong"}, ""},
		{"with a password", Request{Peer: bob, User: "alice", Password: "secret"}, "alice"},
		{"with a token", Request{Peer: alice, Token: "t"}, ""},
		{"with a key", Request{Peer: alice, NKey: "U"}, ""},
		{"by another door", Request{Peer: &Peer{UID: 7}}, ""},
		{"by its own door", Request{Peer: &Peer{UID: 7}, Kind: KindMQTT}, "dev"},
		{"to a key", Request{Peer: &Peer{UID: 8}}, key},
		{"unknown", Request{Peer: &Peer{UID: 1, Groups: []uint32{1}}}, ""},
		{"unknown, with a password", Request{Peer: &Peer{UID: 1}, User: "alice", Password: "secret"}, "alice"},
		{"over the network", Request{User: "alice"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := with.Authenticate(&c.r)
			if c.want == "" && !errors.Is(err, ErrDenied) || c.want != "" && (err != nil || g.User != c.want) {
				t.Errorf("got %+v, %v", g, err)
			}
			if _, err := d.Authenticate(&Request{Peer: c.r.Peer}); err == nil {
				t.Error("the door without peers let it in")
			}
		})
	}
	if with.RequiredOf(alice) || !with.RequiredOf(&Peer{UID: 1}) || !with.RequiredOf(nil) {
		t.Error("who must present something is not who is unknown")
	}
	if _, at, err := d.WithPeers([]PeerUser{{UID: number(1), User: "alice"}, {UID: number(2), User: "carol"}}); at != 1 || err == nil || !strings.Contains(err.Error(), `"carol"`) {
		t.Errorf("an unknown user: %d, %v", at, err)
	}
}
