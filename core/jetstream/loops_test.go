package jetstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/jetstream/sourcing"
	"github.com/frondmq/frond/core/wire"
)

func TestLoops_refused(t *testing.T) {
	type step struct {
		verb, body string
		code       uint16 // 0: it must be accepted
	}
	create := func(code uint16, name, rest string) step {
		return step{"STREAM.CREATE." + name, "name=" + name + " storage=memory " + rest, code}
	}
	update := func(code uint16, name, rest string) step {
		return step{"STREAM.UPDATE." + name, "name=" + name + " storage=memory " + rest, code}
	}
	push := func(code uint16, stream, deliver, filter string) step {
		return step{"CONSUMER.CREATE." + stream + ".c", "stream_name=" + stream + " config={durable_name=c ack_policy=none deliver_subject=" + deliver + "}", code}
	}
	for name, steps := range map[string][]step{
		"a stream of itself": {create(10052, "A", "sources=[{name=A}]")},
		"two, the origin later": {
			create(0, "A", "subjects=[a] sources=[{name=B}]"), create(10052, "B", "subjects=[b] sources=[{name=A}]"),
			create(0, "B", "subjects=[b]")},
		"by update, over three": {
			create(0, "A", "subjects=[a]"), create(0, "B", "subjects=[b] sources=[{name=A}]"), create(0, "C", "subjects=[c] sources=[{name=B}]"),
			update(10052, "A", "subjects=[a] sources=[{name=C}]"),
			update(10052, "A", "subjects=[a] sources=[{name=C filter_subject=c}]"),
			update(10052, "A", `subjects=[a] sources=[{name=C external={api=$JS.hub.API deliver=""}}]`),
			update(0, "A", `subjects=[a] sources=[{name=C external={api=$JS.other.API deliver=""}}]`)},
		"over a mirror": {
			create(0, "A", "subjects=[a]"), create(0, "B", "mirror={name=A}"), update(10052, "A", "subjects=[a] sources=[{name=B}]")},
		"filters that nothing passes twice": {
			create(0, "A", "subjects=[a.>] sources=[{name=B filter_subject=b.>}]"), create(0, "B", "subjects=[b.>] sources=[{name=A filter_subject=a.>}]")},
		"transforms may lead anywhere": {
			create(0, "A", "subjects=[a.>] sources=[{name=B subject_transforms=[{src=b.> dest=fromb.>}]}]"),
			create(10052, "B", "subjects=[b.>] sources=[{name=A subject_transforms=[{src=a.> dest=froma.>}]}]")},
		"deliver subjects": {
			create(0, "P", "subjects=[p]"), create(0, "Q", "subjects=[q]"), push(10081, "P", "p", ""), push(0, "P", "q", ""), push(10081, "Q", "p", ""), push(0, "Q", "elsewhere", "")},
		"deliver subjects, closed by an update": {
			create(0, "P", "subjects=[p]"), create(0, "Q", "subjects=[q]"), push(0, "P", "q", ""), push(0, "Q", "p2", ""),
			update(10052, "P", "subjects=[p,p2]")},
		"deliver subjects, captured by an update": {
			create(0, "P", "subjects=[p]"), push(0, "P", "x.y", ""), update(10052, "P", "subjects=[p,x.*]"), update(0, "P", "subjects=[p,y]")},
		"republish": {
			create(0, "P", "subjects=[p.>] republish={src=p.> dest=q.>}"),
			create(10052, "Q", "subjects=[q.>] republish={src=q.> dest=p.>}"),
			create(0, "Q", "subjects=[q.>]"), update(10052, "P", "subjects=[p.>] republish={src=p.> dest=q.>} sources=[{name=Q}]")},
	} {
		t.Run(name, func(t *testing.T) {
			_, b := newTestEngine(t, func(c *Config) { c.Domain = "hub" })
			for i, s := range steps {
				m := b.api(t, s.verb, s.body)
				var r response
				if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
					t.Fatal(err)
				}
				switch {
				case s.code == 0 && r.Error != nil, s.code != 0 && r.Error == nil, r.Error != nil && r.Error.ErrCode != s.code:
					t.Fatalf("step %d: %s %s: %v, want %d", i, s.verb, s.body, r.Error, s.code)
				case s.code == 10052 && r.Error.Description != "detected cycle":
					t.Errorf("step %d: %v", i, r.Error)
				}
			}
		})
	}
}

func TestIntersect(t *testing.T) {
	for _, x := range []struct{ a, b, want string }{
		{">", "a.>", "a.>"}, {"a.*", "*.b", "a.b"}, {"a.>", "b.>", ""}, {"a.*.c", "a.b.>", "a.b.c"}, {"a", "a", "a"}, {"*.x.>", "a.>", "a.x.>"}, {"a", "a.>", ""},
	} {
		for range 2 {
			if got, ok := intersect(x.a, x.b); got != x.want || ok != (x.want != "") {
				t.Errorf("%s and %s: %q, %v", x.a, x.b, got, ok)
			}
			x.a, x.b = x.b, x.a
		}
	}
}

// A loop that this server does not see, here because the request for the
// origin goes to another domain, ends by itself.
func TestLoops_endByThemselves(t *testing.T) {
	_, b := newTestEngine(t)
	// The other domain is this one by another name.
	relay := func(m *wire.Msg) {
		subj := strings.Replace(string(m.Subject), "$JS.far.API.", "$JS.API.", 1)
		go b.route(&wire.Msg{Subject: []byte(subj), Reply: []byte(string(m.Reply)), Header: append([]byte(nil), m.Header...), Body: append([]byte(nil), m.Body...)})
	}
	if _, err := b.Subscribe("$JS.far.API.>", "", relay); err != nil {
		t.Fatal(err)
	}
	mustStream(t, b, `name=A subjects=[a] storage=memory sources=[{name=B external={api=$JS.far.API deliver=""}}]`)
	mustStream(t, b, `name=B subjects=[b] storage=memory sources=[{name=A external={api=$JS.far.API deliver=""}}]`)
	for i := range 5 {
		b.publish(t, "a", fmt.Sprint(i))
	}
	// Each was stored once by its publisher and taken over 16 times.
	total := func() uint64 { return b.origins(t, "A").State.Msgs + b.origins(t, "B").State.Msgs }
	eventually(t, func() bool {
		return total() == 5*17 && (b.origins(t, "A").Sources[0].Error != nil || b.origins(t, "B").Sources[0].Error != nil)
	})
	var told string
	for _, name := range []string{"A", "B"} {
		if e := b.origins(t, name).Sources[0].Error; e != nil {
			told += e.Description
		}
	}
	if !strings.Contains(told, "streams A and B") && !strings.Contains(told, "streams B and A") {
		t.Errorf("told %q", told)
	}
	b.publish(t, "b", "and on")
	eventually(t, func() bool { return total() == 6*17 })
}

// Captured deliveries and republished messages carry the count; what a client
// publishes does not.
func TestLoops_captureCounts(t *testing.T) {
	e, b := newTestEngine(t)
	mustStream(t, b, "name=P subjects=[p] storage=memory republish={src=p dest=r}")
	mustStream(t, b, "name=Q subjects=[q] storage=memory")
	mustStream(t, b, "name=R subjects=[r] storage=memory")
	b.call(t, "CONSUMER.CREATE.P.c", "stream_name=P config={durable_name=c ack_policy=none deliver_subject=q}", nil)
	b.publish(t, "p", "x")
	eventually(t, func() bool { return b.origins(t, "Q").State.Msgs == 1 && b.origins(t, "R").State.Msgs == 1 })
	for stream, want := range map[string]string{"P": "", "Q": "1", "R": "1"} {
		if got := headerValue(string(b.msg(t, stream, 1).Message.Header), sourcing.HdrHops); got != want {
			t.Errorf("%s: hops %q, want %q", stream, got, want)
		}
	}
	at := func(hops string) {
		b.publish(t, "p", "x", sourcing.HdrHops, hops)
	}
	at("15")
	eventually(t, func() bool { return b.origins(t, "Q").State.Msgs == 2 && b.origins(t, "R").State.Msgs == 2 })
	for _, hops := range []string{"16", "-1", "x", "99999999999999999999"} {
		at(hops)
	}
	eventually(t, func() bool { return e.loops.dropped.Load() == 8 })
	if q, r := b.origins(t, "Q").State.Msgs, b.origins(t, "R").State.Msgs; q != 2 || r != 2 {
		t.Errorf("%d and %d messages", q, r)
	}
}

// In very many streams a loop is found all the same, and what would take too
// long to look through is refused with words.
func TestLoops_manyStreams(t *testing.T) {
	chain := func(n int) *loopGraph {
		g := &loopGraph{configs: map[string]*asset.StreamConfig{}, sourced: map[string][]loopEdge{}, members: func(string) []*consumer.Config { return nil }}
		for i := range n {
			g.sourced[fmt.Sprint(i)] = []loopEdge{{to: fmt.Sprint(i + 1), from: ">"}}
		}
		return g
	}
	walk := func(g *loopGraph) (bool, error) {
		w := loopWalk{g: g, home: "0", seen: make(map[[2]string]bool), steps: maxLoopSteps}
		w.add("0", ">")
		return w.run()
	}
	const n = 20_000
	g := chain(n)
	if loops, err := walk(g); loops || err != nil {
		t.Errorf("a chain of %d streams: %v, %v", n, loops, err)
	}
	g.sourced[fmt.Sprint(n)] = []loopEdge{{to: "0", from: ">"}}
	if loops, err := walk(g); !loops || err != nil {
		t.Errorf("a ring of %d streams: %v, %v", n, loops, err)
	}
	if loops, err := walk(chain(maxLoopSteps + 1)); loops || err != errTooManyWays {
		t.Errorf("a chain that is too long: %v, %v", loops, err)
	}
}
