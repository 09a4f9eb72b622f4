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

// BenchmarkRoute_subjects_seen_once is what acknowledgements of deliveries are.
func BenchmarkRoute_subjects_seen_once(b *testing.B) {
	a := New("A")
	mustSubscribe(b, a, &countingSink{}, "acks.>", "")
	o := NewOrigin(nil, RoleClient, "")
	m := &wire.Msg{Subject: []byte("acks.stream.consumer.1.0000000000")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for at, n := len(m.Subject)-1, i; n > 0; at, n = at-1, n/10 {
			m.Subject[at] = byte('0' + n%10)
		}
		a.Route(o, m)
		if i%100 == 0 {
			o.Flush()
		}
	}
}
