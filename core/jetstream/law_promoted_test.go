package jetstream

import (
	"testing"
)

// A mirror's operations do not say which sequences they took. When it became a
// stream of its own those of its own messages do: what is lost of them in the
// journal is told lost, and what is behind keeps its numbers, whether all that
// was mirrored is in the journal, in the store, or from before a restart.
func TestLaw_holeInAPromotedMirror(t *testing.T) {
	for name, between := range map[string]func(x *box){
		"in the journal": func(*box) {},
		"drained": func(x *box) {
			if err := x.e.drain.drain(); err != nil {
				t.Fatal(err)
			}
		},
		"restarted": func(x *box) {
			x.kill()
			x.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBox(t)
			x.start()
			mustStream(t, x.b, `{"name":"O","subjects":["o"]}`)
			const n = 5
			for i := range n {
				x.put("O", "o", text(i))
			}
			mustStream(t, x.b, `{"name":"M","mirror":{"name":"O"}}`)
			eventually(t, func() bool { return x.b.origins(t, "M").State.LastSeq == n })
			between(x)
			x.b.call(t, "STREAM.UPDATE.M", `{"name":"M","subjects":["m"]}`, nil)
			for i := range 2 * n {
				x.put("M", "m", text(100+i))
			}
			x.kill()
			x.flipAt("journal/*.seg", text(104))
			x.start()
			if lost := x.check("M"); lost != 1 {
				t.Errorf("%d are lost, want 1", lost)
			}
			x.goesOn("M", "m", "")
		})
	}
}
