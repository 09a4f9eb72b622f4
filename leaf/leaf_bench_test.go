package leaf

import (
	"fmt"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// BenchmarkLink_out is a message of a client on its way to the peer: match,
// rules, encoding.
func BenchmarkLink_out(b *testing.B) {
	l, _ := newPipeLink(nil, config.CompressOff)
	if err := l.account.Subscribe(&account.Sub{Subject: "sensors.>", Sink: l}); err != nil {
		b.Fatal(err)
	}
	o := account.NewOrigin(nil, account.RoleClient, "")
	m := &wire.Msg{Subject: []byte("sensors.a.temperature"), Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n"), Body: make([]byte, 128)}
	b.ReportAllocs()
	b.SetBytes(128)
	for i := 0; b.Loop(); i++ {
		if l.account.Route(o, m) != 1 {
			b.Fatal("not delivered")
		}
		if i%64 == 0 {
			l.out.buf.Lock()
			l.out.buf.ForgetLocked() // no writer's time
			l.out.buf.Unlock()
			o.Flush()
		}
	}
}

// BenchmarkLink_in is a message of the peer on its way to a local subscriber:
// parser, rules, match.
func BenchmarkLink_in(b *testing.B) {
	l, _ := newPipeLink(nil, config.CompressOff)
	l.subs = make(map[string]*account.Sub)
	l.origin = account.NewOrigin(l, l.role, "")
	if err := l.account.Subscribe(&account.Sub{Subject: "sensors.>", Sink: takeAll{}}); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	const burst = 64
	for i := range burst {
		buf = append(buf, fmt.Sprintf("LMSG sensors.%d.temperature 128\r\n%128d\r\n", i%8, i)...)
	}
	p := wire.NewLeafParser(l, wire.Limits{MaxControlLine: 4096, MaxPayload: 1 << 20})
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)) / burst)
	for i := 0; b.Loop(); i++ {
		if i%burst != 0 {
			continue // one parse is a burst of messages
		}
		if err := p.Parse(buf); err != nil {
			b.Fatal(err)
		}
		l.origin.Flush()
	}
}

type takeAll struct{}

func (takeAll) Role() account.Role                   { return account.RoleClient }
func (takeAll) Cluster() string                      { return "" }
func (takeAll) Deliver(*account.Sub, *wire.Msg) bool { return true }
func (takeAll) Flush()                               {}
