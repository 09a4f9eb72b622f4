package account

import (
	"fmt"
	"testing"

	"github.com/frondmq/frond/core/wire"
)

type countingSink struct{ n int }

func (*countingSink) Role() Role                     { return RoleClient }
func (*countingSink) Cluster() string                { return "" }
func (c *countingSink) Deliver(*Sub, *wire.Msg) bool { c.n++; return true }
func (*countingSink) Flush()                         {}

func benchmarkRoute(b *testing.B, sinks int, queue string, role Role) {
	a := New("A")
	for range sinks {
		mustSubscribe(b, a, &countingSink{}, "bench.*.temperature", queue)
	}
	if role.IsLink() {
		mustSubscribe(b, a, &fakeSink{role: RoleHub, refuse: true}, "bench.>", "")
	}
	o := NewOrigin(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("bench.17.temperature"), Body: make([]byte, 16)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a.Route(o, m)
		if i++; i%100 == 0 {
			o.Flush()
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{0, 1, 10} {
		b.Run(fmt.Sprintf("sinks=%d", n), func(b *testing.B) { benchmarkRoute(b, n, "", RoleClient) })
	}
	b.Run("queue of 10", func(b *testing.B) { benchmarkRoute(b, 10, "q", RoleClient) })
	b.Run("sink and link", func(b *testing.B) { benchmarkRoute(b, 1, "", RoleHub) })
}
