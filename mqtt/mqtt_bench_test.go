package mqtt

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/wire"
)

// sink takes everything, and stores it at once when asked for a receipt.
type sink struct{}

func (sink) Role() account.Role { return account.RoleInternal }
func (sink) Cluster() string    { return "" }
func (sink) Flush()             {}
func (sink) Deliver(_ *account.Sub, m *wire.Msg) bool {
	if m.Receipt != nil {
		m.Receipt.Expect()
		m.Receipt.Stored("S", 1, false, nil)
	}
	return true
}

func hello(version byte) []byte {
	if version == v5 {
		return []byte("\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x02c1")
	}
	return []byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02c1")
}

// BenchmarkPublish is the way in: from the socket to a stream, and the PUBACK.
func BenchmarkPublish(b *testing.B) {
	for _, version := range []byte{v311, v5} {
		for _, qos := range []byte{0, 1} {
			b.Run(fmt.Sprintf("level=%d/qos=%d", version, qos), func(b *testing.B) {
				br := newBroker(b)
				br.m.log = slog.New(slog.DiscardHandler)
				if err := br.Acc.Subscribe(&account.Sub{Subject: "sensors.>", Sink: sink{}}); err != nil {
					b.Fatal(err)
				}
				const burst = 50
				var loop, props []byte
				if version == v5 {
					props = []byte("\x26\x00\x04Unit\x00\x02\xc2\xb0")
				}
				for i := range burst {
					loop = appendPublish(loop, version, qos, uint16(i+1), []byte("sensors/kitchen/temperature"), props, make([]byte, 128))
				}
				nc := newTape(hello(version), loop, (b.N+burst-1)/burst)
				b.ReportAllocs()
				b.SetBytes(128)
				b.ResetTimer()
				served := make(chan struct{})
				go br.m.serve(nc, nil, nil, func() { close(served) })
				<-nc.done
				b.StopTimer()
				close(nc.closed)
				<-served
			})
		}
	}
}

// BenchmarkDelivery is the way out: one message to one subscription.
func BenchmarkDelivery(b *testing.B) {
	for _, version := range []byte{v311, v5} {
		for qos, header := range []string{"NATS/1.0\r\nNmqtt-Pub:0\r\nUnit: C\r\n\r\n", "NATS/1.0\r\nNmqtt-Pub:1\r\nUnit: C\r\n\r\n"} {
			b.Run(fmt.Sprintf("level=%d/qos=%d", version, qos), func(b *testing.B) {
				br := newBroker(b)
				c := br.m.newConn(1, newTape(nil, nil, 0), nil, br.Opts)
				c.version, c.window = version, newWindow(1024, c.out)
				s := &subscription{conn: c, filter: "sensors/#", qos: 1, dollar: true}
				if err := br.Acc.Subscribe(&account.Sub{Subject: "sensors.>", Sink: s}); err != nil {
					b.Fatal(err)
				}
				o := account.NewOrigin(nil, account.RoleClient, "")
				m := &wire.Msg{Subject: []byte("sensors.kitchen.temperature"), Header: []byte(header), Body: make([]byte, 128)}
				b.ReportAllocs()
				b.SetBytes(128)
				for i := 0; b.Loop(); i++ {
					if br.Acc.Route(o, m) != 1 {
						b.Fatal("not delivered")
					}
					if i%64 == 63 {
						c.out.Lock()
						c.out.ForgetLocked() // no writer's time
						c.out.Unlock()
						o.Flush()
						for id := range 64 { // the client acknowledges
							c.window.release(uint16(i - 62 + id))
						}
					}
				}
			})
		}
	}
}
