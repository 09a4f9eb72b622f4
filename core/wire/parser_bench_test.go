package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// counter is a handler that only counts.
type counter struct{ msgs, subs int }

func (c *counter) Connect([]byte) error             { return nil }
func (c *counter) Info([]byte) error                { return nil }
func (c *counter) Ping() error                      { return nil }
func (c *counter) Pong() error                      { return nil }
func (c *counter) OK() error                        { return nil }
func (c *counter) Err([]byte) error                 { return nil }
func (c *counter) Pub(*Msg) error                   { c.msgs++; return nil }
func (c *counter) Sub(_, _, _ []byte) error         { c.subs++; return nil }
func (c *counter) Unsub([]byte, int) error          { return nil }
func (c *counter) LeafSub(_, _ []byte, _ int) error { c.subs++; return nil }
func (c *counter) LeafUnsub(_, _ []byte) error      { return nil }
func (c *counter) LeafMsg(*Msg) error               { c.msgs++; return nil }

const readBuffer = 64 << 10

// benchParse feeds a stream of copies of op as a connection would: in read
// buffers that end in the middle of an operation.
func benchParse(b *testing.B, op []byte, parse func([]byte) error, msgs *int) {
	stream := bytes.Repeat(op, 2*readBuffer/len(op)+1)
	stream = stream[:len(stream)/len(op)*len(op)]
	b.ReportAllocs()
	b.SetBytes(int64(len(op)))
	b.ResetTimer()
	for *msgs < b.N {
		for rest := stream; len(rest) > 0; {
			n := min(readBuffer, len(rest))
			if err := parse(rest[:n]); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	b.ReportMetric(float64(*msgs)/b.Elapsed().Seconds()/1e6, "Mmsg/s")
}

func BenchmarkClientParser(b *testing.B) {
	for _, size := range []int{16, 128, 1024} {
		body := bytes.Repeat([]byte{'x'}, size)
		b.Run(fmt.Sprintf("pub/%d", size), func(b *testing.B) {
			op := AppendPub(nil, &Msg{Subject: []byte("sensors.hall.17.temp"), Body: body})
			h := new(counter)
			benchParse(b, op, NewClientParser(h, Limits{MaxControlLine: 4096, MaxPayload: 1 << 20}).Parse, &h.msgs)
		})
	}
	b.Run("pub-reply/16", func(b *testing.B) {
		op := AppendPub(nil, &Msg{Subject: []byte("sensors.hall.17.temp"), Reply: []byte("_INBOX.Zt3kQw.7"), Body: make([]byte, 16)})
		h := new(counter)
		benchParse(b, op, NewClientParser(h, Limits{MaxControlLine: 4096, MaxPayload: 1 << 20}).Parse, &h.msgs)
	})
	b.Run("hpub/16", func(b *testing.B) {
		op := AppendPub(nil, &Msg{Subject: []byte("sensors.hall.17.temp"), Header: HeaderSet(nil, nil, "Nats-Msg-Id", "1"), Body: make([]byte, 16)})
		h := new(counter)
		benchParse(b, op, NewClientParser(h, Limits{MaxControlLine: 4096, MaxPayload: 1 << 20}).Parse, &h.msgs)
	})
}

func BenchmarkLeafParser(b *testing.B) {
	body := bytes.Repeat([]byte{'x'}, 16)
	for name, m := range map[string]*Msg{
		"lmsg/16":        {Subject: []byte("sensors.hall.17.temp"), Body: body},
		"lmsg-queues/16": {Subject: []byte("sensors.hall.17.temp"), Reply: []byte("r.1"), Queues: [][]byte{[]byte("a"), []byte("b")}, Body: body},
	} {
		b.Run(name, func(b *testing.B) {
			h := new(counter)
			benchParse(b, AppendLeafMsg(nil, m, true), NewLeafParser(h, Limits{MaxControlLine: 4096, MaxPayload: 1 << 20}).Parse, &h.msgs)
		})
	}
}

func BenchmarkAppendMsg(b *testing.B) {
	m := &Msg{Subject: []byte("sensors.hall.17.temp"), Body: make([]byte, 128)}
	sid := []byte("17")
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendMsg(dst[:0], m, sid, true)
	}
}
