package jetstream

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a mirror brought last is lost in the journal: it is brought again under
// its number. That operations are lost is told, and nothing is said of messages
// that nobody can know: a mirror's operations do not say which they had.
func TestLaw_endOfAMirror(t *testing.T) {
	x := newBox(t)
	x.start()
	mustStream(t, x.b, `{"name":"O","subjects":["o"]}`)
	mustStream(t, x.b, `{"name":"M","mirror":{"name":"O"}}`)
	const n = 10
	caughtUp := func() bool { return x.b.origins(t, "M").State.Msgs == n }
	for i := range n {
		x.put("O", "o", text(i))
	}
	eventually(t, caughtUp)
	x.kill()
	names, err := filepath.Glob(filepath.Join(x.dir, "journal", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	done := false
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b, []byte(text(n-1))) != 2 { // the origin's, and behind it the mirror's
			continue
		}
		b[bytes.LastIndex(b, []byte(text(n-1)))] ^= 4
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		done = true
	}
	if !done {
		t.Fatalf("%q is not there twice", text(n-1))
	}
	x.start()
	eventually(t, caughtUp)
	x.check("O")
	m := x.e.account("A").stream("M")
	for seq, body := range x.acked["O"] {
		if got, _, err := m.store.Load(seq, nil); err != nil || string(got.Body) != body {
			t.Errorf("the mirror has %q as %d, want %q: %v", got.Body, seq, body, err)
		}
	}
	if lost := m.store.Damage(); len(lost) > 0 {
		t.Errorf("lost are %v, and the origin had them", lost)
	}
	i := slices.IndexFunc(x.e.Damage(true), func(d Damage) bool { return d.Stream == "M" && d.Kind == DamageLost })
	if i < 0 {
		t.Fatal("nobody is told that operations are lost")
	}
	if what := x.e.Damage(true)[i].What; strings.Contains(what, "no message") || !strings.Contains(what, "brought again") {
		t.Errorf("told is: %s", what)
	}
}
