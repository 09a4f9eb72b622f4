package leaf

import (
	"testing"

	"github.com/frondmq/frond/core/subject"
)

// The rights of a user are those of the end that dialed, whether it is the
// hub or the spoke: what may be published is what that end may send.
func TestRules_rightsAreThoseOfTheDialer(t *testing.T) {
	perms, err := subject.NewPermissions(&subject.Rules{Allow: []string{"a.>"}}, &subject.Rules{Allow: []string{"b.>"}},
		&subject.Responses{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		hub, accepted bool
		forbidden     verdict
	}{
		{"accepting hub", true, true, violation},
		{"accepting spoke", false, true, drop},
		{"dialing spoke", false, false, drop},
		{"dialing hub", true, false, drop},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := newRules(c.hub, c.accepted, perms, side{}, side{}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			in, out := "a.x", "b.x" // seen from the accepting end
			if !c.accepted {
				in, out = out, in
			}
			if r.takes([]byte(in)) != pass || r.takes([]byte(out)) != c.forbidden || r.takes([]byte("c.x")) != c.forbidden {
				t.Errorf("takes %s: %d, %s: %d, c.x: %d", in, r.takes([]byte(in)), out, r.takes([]byte(out)), r.takes([]byte("c.x")))
			}
			if !r.sends([]byte(out)) || r.sends([]byte(in)) || r.sends([]byte("c.x")) {
				t.Error("sends what it must not, or not what it may")
			}
			if !r.announces(in) || r.announces(out) || r.announces("c.x") || !r.announces("*.x") || !r.announces("$LDS.x") || !r.announces("_GR_.>") {
				t.Error("announces the wrong interest")
			}
			if got := r.accepts("c.x"); got != (c.forbidden == drop) {
				t.Errorf("accepts interest outside: %v", got)
			}
			if !r.accepts("*.x") || !r.accepts("$LDS.x") {
				t.Error("refuses wider interest, or a mark against loops")
			}
			if r.takes([]byte("_R_.x")) != pass || r.takes([]byte("$JS.ACK.x")) != pass {
				t.Error("stops answers")
			}
			if !c.accepted {
				return
			}
			r.sent([]byte("reply.1"))
			if r.takes([]byte("reply.1")) != pass || r.takes([]byte("reply.1")) == pass {
				t.Error("an answer to a message that was sent is allowed, once")
			}
		})
	}
}

// A nats-server at the other end hears the question of a client who it is, and
// would answer it too, with what the link may do.
func TestRules_whoAmIStaysHere(t *testing.T) {
	for _, hub := range []bool{false, true} {
		r, err := newRules(hub, hub, nil, side{}, side{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.sends([]byte(whoAmI)) || !r.sends([]byte("$SYS.REQ.USER.OTHER")) {
			t.Errorf("hub %v: the question is sent, or others are not", hub)
		}
	}
}
