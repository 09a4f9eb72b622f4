package auth

import (
	"testing"

	"github.com/frondmq/frond/core/subject"
)

func TestDirectory_renew(t *testing.T) {
	rights := func(allow string) *subject.Permissions {
		p, err := subject.NewPermissions(&subject.Rules{Allow: []string{allow}}, nil, &subject.Responses{Max: 3})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ann := User{Name: "ann", Password: "one"}
	hashed := User{Name: "ann", Password: "$2a$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"}
	changed := func(u User, f func(*User)) User { f(&u); return u }
	byName := Request{User: "ann", Password: "one"}
	type dir struct {
		users        []User
		token, stand string
		peers        []PeerUser
	}
	peer := &Peer{UID: 7}
	key, seed := mustUserKey(t)
	proof, err := NewSeedSigner(seed).Sign("nonce")
	if err != nil {
		t.Fatal(err)
	}
	byKey := Request{NKey: key, Nonce: "nonce", Sig: proof.Sig}
	for _, c := range []struct {
		name     string
		from, to dir
		r        Request
		stays    bool
		user     string
		same     bool // the rights too
	}{
		{"nothing changed", dir{users: []User{ann}}, dir{users: []User{{Name: "bob"}, ann}}, byName, true, "ann", true},
		{"gone", dir{users: []User{ann}}, dir{users: []User{{Name: "bob"}}}, byName, false, "", false},
		{"another password", dir{users: []User{ann}}, dir{users: []User{changed(ann, func(u *User) { u.Password = "two" })}}, byName, false, "", false},
		{"a hash for a password", dir{users: []User{ann}}, dir{users: []User{hashed}}, byName, false, "", false},
		{"no password any more", dir{users: []User{ann}}, dir{users: []User{{Name: "ann"}}}, byName, false, "", false},
		{"another account", dir{users: []User{ann}}, dir{users: []User{changed(ann, func(u *User) { u.Account = "B" })}}, byName, true, "ann", false},
		{"not by this door", dir{users: []User{ann}}, dir{users: []User{changed(ann, func(u *User) { u.Doors = []string{DoorMQTT} })}}, byName, false, "", false},
		{"by this door", dir{users: []User{ann}}, dir{users: []User{changed(ann, func(u *User) { u.Doors = []string{DoorStandard} })}}, byName, true, "ann", true},
		{"fewer rights", dir{users: []User{ann}}, dir{users: []User{changed(ann, func(u *User) { u.Permissions = rights("a") })}}, byName, true, "ann", false},
		{"other rights", dir{users: []User{changed(ann, func(u *User) { u.Permissions = rights("b") })}},
			dir{users: []User{changed(ann, func(u *User) { u.Permissions = rights("a") })}}, byName, true, "ann", false},
		{"equal rights", dir{users: []User{changed(ann, func(u *User) { u.Permissions = rights("a") })}},
			dir{users: []User{changed(ann, func(u *User) { u.Permissions = rights("a") })}}, byName, true, "ann", true},
		{"everyone is welcome", dir{users: []User{ann}}, dir{}, byName, true, "ann", true},
		{"everyone was welcome", dir{}, dir{users: []User{ann}}, byName, false, "", false},
		{"everyone was welcome, and presented nothing", dir{}, dir{users: []User{ann}}, Request{}, false, "", false},
		{"one stands for everyone now", dir{}, dir{users: []User{ann}, stand: "ann"}, Request{}, true, "ann", false},
		{"one stands for everyone now, by another door", dir{}, dir{users: []User{changed(ann, func(u *User) { u.Doors = []string{DoorMQTT} })}, stand: "ann"}, Request{}, false, "", false},
		{"the same stands", dir{users: []User{ann}, stand: "ann"}, dir{users: []User{ann}, stand: "ann"}, Request{}, true, "ann", true},
		{"nobody stands any more", dir{users: []User{ann}, stand: "ann"}, dir{users: []User{ann}}, Request{}, false, "", false},
		{"another one stands", dir{users: []User{ann}, stand: "ann"}, dir{users: []User{ann, {Name: "bob"}}, stand: "bob"}, Request{}, false, "", false},
		{"nobody stands, but this one proved it", dir{users: []User{ann}, stand: "ann"}, dir{users: []User{ann}}, byName, true, "ann", true},
		{"a token", dir{token: "t"}, dir{token: "t"}, Request{Token: "t"}, true, "[REDACTED]", true},
		{"another token", dir{token: "t"}, dir{token: "u"}, Request{Token: "t"}, false, "", false},
		{"users for a token", dir{token: "t"}, dir{users: []User{ann}}, Request{Token: "t"}, false, "", false},
		{"known by the system", dir{users: []User{ann}, peers: []PeerUser{{UID: number(7), User: "ann"}}},
			dir{users: []User{hashed}, peers: []PeerUser{{UID: number(7), User: "ann"}}}, Request{Peer: peer}, true, "ann", true},
		{"no longer known by the system", dir{users: []User{ann}, peers: []PeerUser{{UID: number(7), User: "ann"}}},
			dir{users: []User{ann}, peers: []PeerUser{{UID: number(8), User: "ann"}}}, Request{Peer: peer}, false, "", false},
		{"another one to the system", dir{users: []User{ann, {Name: "bob"}}, peers: []PeerUser{{UID: number(7), User: "ann"}}},
			dir{users: []User{ann, {Name: "bob"}}, peers: []PeerUser{{UID: number(7), User: "bob"}}}, Request{Peer: peer}, false, "", false},
		{"a key", dir{users: []User{{NKey: key}}}, dir{users: []User{ann, {NKey: key}}}, byKey, true, key, true},
		{"a key that is gone", dir{users: []User{{NKey: key}}}, dir{users: []User{ann}}, byKey, false, "", false},
		{"fewer rights of a key", dir{users: []User{{NKey: key}}}, dir{users: []User{{NKey: key, Permissions: rights("a")}}}, byKey, true, key, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := func(d dir) *Directory {
				with, _, err := mustDirectory(t, d.users, d.token, d.stand).WithPeers(d.peers)
				if err != nil {
					t.Fatal(err)
				}
				return with
			}
			to := made(c.to)
			g, err := made(c.from).Authenticate(&c.r)
			if err != nil {
				t.Fatal(err)
			}
			// Twice: what was renewed can be renewed.
			for range 2 {
				next, ok := to.Renew(g)
				if ok != c.stays {
					t.Fatalf("stays %v, want %v", ok, c.stays)
				}
				if !ok {
					return
				}
				if next.User != c.user || next.Same(g) != c.same {
					t.Errorf("%+v after %+v", next, g)
				}
				if again, ok := to.Renew(next); !ok || !again.Same(next) {
					t.Errorf("renewed again %+v", again)
				}
			}
		})
	}
}

// Who was let in, and stayed while everyone was welcome, is still who it proved to
// be, by the door that it came in by.
func TestDirectory_renewThroughAnOpenDirectory(t *testing.T) {
	users := []User{{Name: "ann", Password: "one", Doors: []string{DoorStandard}}}
	for _, c := range []struct {
		name  string
		stand string
		r     Request
		then  string // ann's password at the end
		stays bool
	}{
		{"proved", "", Request{User: "ann", Password: "one"}, "one", true},
		{"proved, and has another password now", "", Request{User: "ann", Password: "one"}, "two", false},
		{"stood for", "ann", Request{}, "one", true},
	} {
		g, err := mustDirectory(t, users, "", c.stand).Authenticate(&c.r)
		if err != nil {
			t.Fatal(err)
		}
		g, ok := mustDirectory(t, nil, "", "").Renew(g)
		if !ok {
			t.Fatalf("%s: everyone is welcome, and it is not", c.name)
		}
		again := []User{users[0]}
		again[0].Password = c.then
		if g, ok = mustDirectory(t, again, "", c.stand).Renew(g); ok != c.stays || ok && g.User != "ann" {
			t.Errorf("%s: stays %v, %+v", c.name, ok, g)
		}
	}
}
