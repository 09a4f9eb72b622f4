package jetstream

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/frondmq/frond/edgestore"
)

// A comparison that finds nothing would be worth nothing: what a follower applies
// otherwise is seen, and what may come in another order is not.
func TestTwins_see_what_differs(t *testing.T) {
	published := func(list []edgestore.Entry, body string) int {
		return slices.IndexFunc(list, func(en edgestore.Entry) bool {
			return en.Kind == opPublish && bytes.HasSuffix(en.Data, []byte(body))
		})
	}
	swap := func(a, b string) func([]edgestore.Entry) []edgestore.Entry {
		return func(list []edgestore.Entry) []edgestore.Entry {
			if i, j := published(list, a), published(list, b); i >= 0 && j >= 0 {
				list[i], list[j] = list[j], list[i]
			}
			return list
		}
	}
	for name, c := range map[string]struct {
		fault func([]edgestore.Entry) []edgestore.Entry
		seen  bool
	}{
		"nothing":                       {func(list []edgestore.Entry) []edgestore.Entry { return list }, false},
		"two operations of two streams": {swap("second", "other"), false},
		"two operations of one stream":  {swap("first", "second"), true},
		"a byte": {func(list []edgestore.Entry) []edgestore.Entry {
			if i := published(list, "first"); i >= 0 {
				list[i].Data = bytes.Clone(list[i].Data)
				list[i].Data[len(list[i].Data)-1] ^= 1
			}
			return list
		}, true},
		"one left out": {func(list []edgestore.Entry) []edgestore.Entry {
			if i := published(list, "second"); i >= 0 && len(list) > 1 {
				list = slices.Delete(list, i, i+1)
			}
			return list
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTwins(t, 5)
				x.g.refuse = 0
				x.settle()
				x.compare()
				l := x.follow.log
				l.change = c.fault
				for _, m := range [][2]string{{"LOSSY.a", "first"}, {"LOSSY.a", "second"}, {"AGED.0", "other"}} {
					x.w.b.send(m[0], "", m[1])
				}
				x.settle()
				to := x.g.committed()
				_ = x.follow.command(twinCommand{entries: c.fault(x.g.between(l.applied, to))})
				l.applied = to
				if d := difference(stateOf(x.lead.e), stateOf(x.follow.e)); (d != "") != c.seen {
					t.Errorf("the difference is %q", d)
				}
			})
		})
	}
}
