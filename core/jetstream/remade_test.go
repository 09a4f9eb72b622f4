package jetstream

import (
	"encoding/json"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// Of two streams of one name the newer one is it, whichever of them a recovery
// meets first, and only its subjects and bytes are taken.
func TestAccount_newerOfOneName(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=S subjects=[s] storage=memory max_bytes=1000")
	a := e.account("A")
	s := a.stream("S")
	another := func(incarnation uint64, subject string, bytes int64) *stream {
		t.Helper()
		cfg := *s.config()
		cfg.Subjects, cfg.MaxBytes = []string{subject}, bytes
		text, err := json.Marshal(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		read, err := e.configs.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		o, err := newStream(e, a, streamCreate{incarnation: incarnation, account: "A"}, read, edgestore.NewMemoryStore(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	is := func(want *stream, subject string, bytes int64) {
		t.Helper()
		if a.stream("S") != want {
			t.Errorf("incarnation %d is the one", a.stream("S").incarnation)
		}
		for _, x := range []string{"old", "s", "new"} {
			if a.overlaps([]string{x}, "") != (x == subject) {
				t.Errorf("%q is taken: %v", x, x != subject)
			}
		}
		if got := e.quota.reserved[asset.MemoryStorage].Load(); got != bytes {
			t.Errorf("%d bytes are reserved, want %d", got, bytes)
		}
	}
	is(s, "s", 1000)
	name := func(o *stream) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.named(o)
	}
	name(another(s.incarnation-1, "old", 5))
	is(s, "s", 1000)
	newer := another(s.incarnation+1, "new", 7)
	name(newer)
	is(newer, "new", 7)
	name(s) // which goes by its own name then
	is(newer, "new", 7)
	a.mu.Lock()
	a.unlink(newer.config())
	a.mu.streams["S"] = s
	a.link(s.config())
	a.mu.Unlock()
}
