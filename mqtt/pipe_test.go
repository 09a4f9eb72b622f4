package mqtt

import (
	"bufio"
	"context"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// newBroker makes a broker without a port: its clients come by pipes, so that
// it can live in a bubble with a time of its own.
func newBroker(t testing.TB) *broker {
	b := makeBroker(t)
	b.m = New()
	b.m.services, b.m.log = b, b.Logger()
	b.m.ctx, b.m.stop = context.WithCancel(context.Background())
	return b
}

// pipe is a client whose every write waits until the other side has read it.
func (b *broker) pipe(version byte) *client {
	here, there := net.Pipe()
	b.m.work.Add(1)
	go b.m.serve(here, b.m.own.Load(), nil, b.m.work.Done)
	return &client{b.t, there, framer{in: bufio.NewReader(there), limit: 1 << 28, pool: &b.m.readBuffers}, version}
}

func (b *broker) pipeConnected(version byte, id string, change func(*packets.Packet)) *client {
	b.t.Helper()
	c := b.pipe(version)
	c.send(c.connectPacket(id, change))
	if pk := c.expect(packets.Connack); pk.ReasonCode != 0 {
		b.t.Fatalf("CONNACK %#x", pk.ReasonCode)
	}
	return c
}

// stop ends the broker and gives how long it took.
func (b *broker) stop() time.Duration {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	begin := time.Now()
	if err := b.m.Stop(ctx); err != nil {
		b.t.Error(err)
	}
	b.Stop()
	return time.Since(begin)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
