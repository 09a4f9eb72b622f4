package account

import (
	"slices"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

// follower publishes what it follows on a subject of its own, which stays here.
type follower struct {
	a   *Account
	got []string
}

func (f *follower) Role() Role      { return RoleKept }
func (f *follower) Cluster() string { return "" }
func (f *follower) Flush()          {}

func (f *follower) Deliver(_ *Sub, m *wire.Msg) bool { return Follow(m, f) }

func (f *follower) Follow(o *Origin, m *wire.Msg, subject []byte) {
	f.got = append(f.got, string(subject)+" "+string(m.Body))
	f.a.Route(o, &wire.Msg{Subject: append([]byte("kept."), subject...), Body: m.Body, Here: true})
}

// What comes by a link is followed once, behind its routing, and what follows leaves by
// no link; what others publish is not followed.
func TestFollow(t *testing.T) {
	a := New("A")
	f := &follower{a: a}
	stream, away := &fakeSink{role: RoleInternal}, &fakeSink{role: RoleSpoke}
	mustSubscribe(t, a, f, "s.*", "")
	mustSubscribe(t, a, f, "s.x", "")
	mustSubscribe(t, a, f, "kept.>", "")
	mustSubscribe(t, a, stream, "kept.>", "")
	mustSubscribe(t, a, away, "kept.>", "")
	mustSubscribe(t, a, away, "kept.s.x", "g")
	hub := seeded(&fakeSink{role: RoleHub}, RoleHub, "")
	m := &wire.Msg{Subject: []byte("s.x"), Body: []byte("1")}
	if n := a.Route(hub, m); n != 2 || m.Via != nil {
		t.Errorf("%d took it; Via %v", n, m.Via)
	}
	for _, r := range []Role{RoleClient, RoleInternal} {
		if n := a.Route(seeded(nil, r, ""), &wire.Msg{Subject: []byte("s.x"), Body: []byte("2")}); n != 0 {
			t.Errorf("%s: %d took it", roleNames[r], n)
		}
	}
	a.Route(hub, &wire.Msg{Subject: []byte("s.y"), Body: []byte("3")})
	if want := []string{"s.x 1", "s.y 3"}; !slices.Equal(f.got, want) {
		t.Errorf("followed %q, want %q", f.got, want)
	}
	if got := stream.take(); got != "kept.>>kept.s.x; kept.>>kept.s.y" {
		t.Errorf("the stream got %s", got)
	}
	if got := away.take(); got != "" {
		t.Errorf("a link got %s", got)
	}
	publish(a, seeded(nil, RoleClient, ""), "kept.s.x")
	if got := away.take(); got != "kept.>>kept.s.x g" {
		t.Errorf("a link got %s of what goes everywhere", got)
	}
}
