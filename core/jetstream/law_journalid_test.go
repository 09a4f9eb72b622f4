package jetstream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The small file of the journal, which says what was drained and let go of, is
// gone: nothing else is. What was let go of long ago is no loss, no stream moves
// on for it, and that the file was made anew is told once.
func TestLaw_journalIDGone(t *testing.T) {
	large := strings.Repeat("x", 16<<10)
	for _, c := range []struct {
		name          string
		lives         int // starts in which something is published
		drained, half bool
	}{
		{name: "all drained", lives: 3, drained: true},
		{name: "half drained", lives: 3, drained: true, half: true},
		{name: "nothing drained", lives: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			streams := []string{"IDLE", "BUSY", "NEVER"}
			for _, name := range streams {
				mustStream(t, x.b, "name="+name+" subjects=["+name+"]")
				mustConsumer(t, x.b, name, "c", "durable_name=c ack_policy=explicit")
			}
			for i := range 10 {
				x.put("IDLE", "IDLE", text(i))
			}
			n := 0
			for life := range c.lives {
				for range 60 { // about four segments
					x.put("BUSY", "BUSY", text(n)+large)
					if n++; c.drained && n%10 == 0 {
						x.drain()
					}
				}
				if life+1 < c.lives {
					x.kill()
					x.start()
				}
			}
			if c.half {
				for i := range 5 {
					x.put("BUSY", "BUSY", text(n+i))
					x.put("NEVER", "NEVER", text(n+i))
				}
			}
			lastOf := func(stream string) uint64 {
				t.Helper()
				var a streamAnswer
				x.b.call(t, "STREAM.INFO."+stream, "", &a)
				return a.State.LastSeq
			}
			last := make(map[string]uint64)
			for _, name := range streams {
				last[name] = lastOf(name)
			}
			x.kill()
			_, err := os.Stat(x.path("journal", "0000000000000001.seg"))
			if there := err == nil; there == c.drained {
				t.Fatalf("the first segment is there: %v", there)
			}
			id := x.path("journal", "journal.id")
			if err := os.Remove(id); err != nil {
				t.Fatal(err)
			}
			told := func() {
				t.Helper()
				d := x.e.Damage(true)
				if len(d) != 1 || d[0].Kind != DamageAside || filepath.Base(d[0].Where) != "journal.id" || d[0].Times != 1 || len(d[0].Lost) != 0 || d[0].Do == "" {
					t.Errorf("told: %+v", d)
				}
			}
			x.start()
			told()
			for _, name := range streams {
				if lost := x.check(name); lost != 0 {
					t.Errorf("%s: %d lost", name, lost)
				}
				if l := x.e.account("A").stream(name).store.Damage(); len(l) != 0 {
					t.Errorf("%s: nothing was lost, told lost are %v", name, l)
				}
				if got := lastOf(name); got != last[name] {
					t.Errorf("%s: the last sequence was %d and is %d", name, last[name], got)
				}
				x.goesOn(name, name, "c")
				if got := lastOf(name); got != last[name]+1 {
					t.Errorf("%s: behind %d comes %d", name, last[name], got)
				}
			}
			x.stop()
			x.start()
			told()
		})
	}
}
