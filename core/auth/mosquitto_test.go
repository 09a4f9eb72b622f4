package auth

import (
	"strings"
	"testing"

	"github.com/frondmq/frond/core/subject"
)

// devHash is what mosquitto_passwd 2.0.11 made of "secret word".
const devHash = "$7$101$Rj9bDvL+oUtNo9pU$yTWD2zesloiKUTrHSZr92k5qODW6XQPOOflBAI1TCv8R0SeFnSoSmWNa0TBZpHMJu+JvGOavfMhHiZ0CecTdGA=="

func TestDirectory_mosquittoHash(t *testing.T) {
	d := mustDirectory(t, []User{{Name: "dev", Password: devHash}}, "", "")
	for _, c := range []struct {
		password string
		ok       bool
	}{{"secret word", true}, {"secret", false}, {"", false}, {devHash, false}} {
		if _, err := d.Authenticate(&Request{User: "dev", Password: c.password}); (err == nil) != c.ok {
			t.Errorf("%q: %v", c.password, err)
		}
	}
	if d.decoy.mosquitto.rounds != 101 {
		t.Error("who is unknown is answered faster than who is known")
	}
	other := mustDirectory(t, []User{{Name: "dev", Password: strings.Replace(devHash, "yTWD", "yTWE", 1)}}, "", "")
	g, err := d.Authenticate(&Request{User: "dev", Password: "secret word"})
	if err != nil {
		t.Fatal(err)
	}
	if _, same := d.Renew(g); !same {
		t.Error("the same hash is not the same")
	}
	if _, same := other.Renew(g); same {
		t.Error("another hash is the same")
	}
	// What is no such hash is a plain password.
	for _, plain := range []string{"$7$", "$7$0$" + devHash[7:], "$7$x$YWJj$YWJj", "$7$101$YWJj$YWJj", "$7$9999999$" + devHash[7:], devHash + "$", "$6$" + devHash[3:]} {
		d := mustDirectory(t, []User{{Name: "a", Password: plain}}, "", "")
		if _, err := d.Authenticate(&Request{User: "a", Password: plain}); err != nil {
			t.Errorf("%q: %v", plain, err)
		}
	}
}

// Permissions with names are those of the user and client that come.
func TestDirectory_names(t *testing.T) {
	p, err := subject.NewPermissions(&subject.Rules{Allow: []string{"up.%u.>", "status.%c"}, Deny: []string{"up.%u.%c"}}, &subject.Rules{Allow: []string{"down.%c q"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := mustDirectory(t, []User{{Name: "ann", Password: "p", Permissions: p}}, "", "")
	upper := func(name string) string { return strings.ReplaceAll(name, "/", "") }
	r := Request{Kind: KindMQTT, User: "ann", Password: "p", Client: "c/1", Naming: upper}
	g, err := d.Authenticate(&r)
	if err != nil {
		t.Fatal(err)
	}
	for subj, may := range map[string]bool{
		"up.ann.x": true, "up.bob.x": false, "up.%u.x": false, "status.c1": true, "status.c2": false, "up.ann.c1": false,
	} {
		if got := g.Permissions.CanPublish([]byte(subj)); got != may {
			t.Errorf("publish %s: %v", subj, got)
		}
	}
	if !g.Permissions.CanSubscribe("down.c1", "q") || g.Permissions.CanSubscribe("down.c1", "") || g.Permissions.CanSubscribe("down.c2", "q") {
		t.Errorf("subscribe: %+v", g.Permissions.SubRules())
	}
	if again, ok := d.Renew(g); !ok || !again.Same(g) {
		t.Error("a reload changes the rights of who has names")
	}
	// Who has no name that can be a token has not the rights that hold it.
	for _, client := range []string{"", "/", "a.b", "*", ">", "a b"} {
		r.Client = client
		g, err := d.Authenticate(&r)
		if err != nil {
			t.Fatal(err)
		}
		for subj, may := range map[string]bool{"up.ann.x.y": true, "up.ann.x": false, "status.c1": false, "status.*": false, "status.": false, "status.%c": false} {
			if got := g.Permissions.CanPublish([]byte(subj)); got != may {
				t.Errorf("%q: publish %s: %v", client, subj, got)
			}
		}
		if g.Permissions.CanSubscribe("down.c1", "q") || g.Permissions.CanSubscribe("anything", "") {
			t.Errorf("%q: subscribe: %+v", client, g.Permissions.SubRules())
		}
	}
}
