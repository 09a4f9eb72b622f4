package consumer

import (
	"math/rand/v2"
	"testing"
)

func benchMachine(b *testing.B, config string) *rig {
	r := newRig(b, config)
	r.quiet = true
	r.start()
	r.m.SetActive(r.now, true)
	return r
}

// BenchmarkDeliverAck is the way of one message: wanted, delivered, kept as a
// delta, acknowledged.
func BenchmarkDeliverAck(b *testing.B) {
	for name, config := range map[string]string{
		"pull_explicit": `{"durable_name":"C","ack_policy":"explicit"}`,
		"push_explicit": `{"durable_name":"C","ack_policy":"explicit","deliver_subject":"d"}`,
		"push_all":      `{"durable_name":"C","ack_policy":"all","deliver_subject":"d"}`,
		"push_none":     `{"durable_name":"C","ack_policy":"none","deliver_subject":"d","flow_control":true,"idle_heartbeat":1000000000}`,
	} {
		b.Run(name, func(b *testing.B) {
			r := benchMachine(b, config)
			m, fx, now := r.m, &r.fx, r.now
			var delta []byte
			subj, reply, body := []byte("a.b"), []byte("_INBOX.x.1"), []byte(`{"batch":100,"expires":30000000000}`)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				seq := uint64(i + 1)
				now += 1000
				if m.Config().Pull() && i%100 == 0 {
					m.Pull(now, reply, body, fx)
				}
				m.Appended(seq, subj)
				w := m.Next(now, fx)
				if w.Seq != seq {
					b.Fatal(w)
				}
				d, ok := m.Deliver(now, &Candidate{Seq: seq, Time: now, Size: 100}, fx)
				if !ok {
					b.Fatal("not delivered")
				}
				if m.Config().AckPolicy != AckNone {
					a, _ := ParseAckSubject(d.Reply)
					m.Ack(now, a, nil, nil, fx)
				}
				for _, st := range fx.Statuses {
					if st.Reply != nil {
						m.FlowReply(now, st.Reply, nil, fx)
					}
				}
				if i%64 == 0 {
					m.Tick(now, fx)
					delta = m.TakeDelta(delta[:0])
				}
				fx.Reset()
			}
		})
	}
}

// BenchmarkAckOutOfOrder acknowledges 1000 outstanding messages in any order.
func BenchmarkAckOutOfOrder(b *testing.B) {
	r := benchMachine(b, `{"durable_name":"C","ack_policy":"explicit","deliver_subject":"d","max_ack_pending":2000}`)
	m, fx, now := r.m, &r.fx, r.now
	order := rand.New(rand.NewPCG(1, 1)).Perm(1000)
	var delta []byte
	base := uint64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := i % 1000
		if k == 0 {
			base = m.Delivered().Stream
			for n := range uint64(1000) {
				now += 1000
				m.Appended(base+n+1, nil)
				m.Deliver(now, &Candidate{Seq: base + n + 1, Time: now, Size: 100}, fx)
			}
			delta = m.TakeDelta(delta[:0])
		}
		m.Ack(now, AckSubject{Seq: base + 1 + uint64(order[k])}, nil, nil, fx)
		fx.Reset()
	}
}
