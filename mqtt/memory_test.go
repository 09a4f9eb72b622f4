package mqtt

import (
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// An idle connection costs no more than this, stacks included. A gateway with
// a thousand devices must not need more for them than it has.
const idleLimit = 24 << 10

func TestConn_idleMemory(t *testing.T) {
	b := startBroker(t, nil)
	const n = 300
	measure := func() uint64 {
		runtime.GC()
		runtime.GC() // pools are emptied by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := measure()
	conns := make([]net.Conn, n)
	for i := range conns {
		c := b.connect(v311, fmt.Sprint("device-", i))
		c.subscribe(fmt.Sprintf("devices/%d/#", i), 1)
		// Some traffic, so that what traffic needs is there.
		c.publish(fmt.Sprintf("devices/%d/x", i), "on", 1, 1)
		p := c.expectBoth()
		c.send(appendAck(nil, packets.Puback, v311, p, 0))
		c.fence()
		conns[i] = c.c
	}
	per := int64(measure()-before) / n
	runtime.KeepAlive(conns)
	t.Logf("%d bytes a connection, the test's end included", per)
	if per > idleLimit {
		t.Errorf("%d bytes an idle connection, the limit is %d", per, idleLimit)
	}
}

// expectBoth takes a PUBLISH and a PUBACK in any order and gives the packet
// identifier of the PUBLISH.
func (c *client) expectBoth() (id uint16) {
	c.t.Helper()
	for range 2 {
		pk, err := c.next()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case pk.FixedHeader.Type == packets.Publish:
			id = pk.PacketID
		case pk.FixedHeader.Type != packets.Puback:
			c.t.Fatalf("got %+v", pk)
		}
	}
	return id
}
