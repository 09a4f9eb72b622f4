package mqtt

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestConn_keepAlive(t *testing.T) {
	keepTwo := func(pk *packets.Packet) { pk.Connect.Keepalive = 2 }
	t.Run("silence ends the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			c := b.pipeConnected(v5, "c", keepTwo)
			begin := time.Now()
			c.expectEnd(packets.ErrKeepAliveTimeout.Code)
			if d := time.Since(begin); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
			b.stop()
		})
	})
	t.Run("packets do not, wherever reads cut them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			s := b.capture("a")
			c := b.pipeConnected(v5, "c", keepTwo)
			packet := unhex(t, "30 05 00 01 61 00 31")
			// Each write ends in the middle of a packet.
			c.send(packet[:3])
			for range 10 {
				<-time.After(2 * time.Second)
				c.send(append(packet[3:len(packet):len(packet)], packet[:3]...))
			}
			synctest.Wait()
			if n := len(s.got()); n != 10 {
				t.Errorf("%d of 10 arrived", n)
			}
			c.c.Close()
			b.stop()
		})
	})
	t.Run("none is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			c := b.pipeConnected(v311, "c", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
			<-time.After(48 * time.Hour)
			c.fence()
			c.c.Close()
			b.stop()
		})
	})
}

// In the middle of a packet nobody looks each second whether more comes, and a
// large one takes no large buffer before there is something to put in.
func TestConn_silentInAPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		s := b.capture("a")
		here, there := net.Pipe()
		looks := &lookedAt{Conn: here}
		b.m.work.Add(1)
		go b.m.serve(looks, nil, nil, b.m.work.Done)
		c := &client{b.t, there, framer{in: bufio.NewReader(there), limit: 1 << 28, pool: &b.m.readBuffers}, v5}
		c.send(c.connectPacket("c", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 }))
		c.expect(packets.Connack)
		body := bytes.Repeat([]byte("x"), 10_000)
		packet := append(unhex(t, "30 94 4e 00 01 61 00"), body...) // 10,004 bytes follow
		c.send(packet[:20])
		<-time.After(10 * time.Second)
		before := looks.n.Load()
		<-time.After(time.Hour)
		if n := looks.n.Load() - before; n > 1 {
			t.Errorf("looked at %d times in an hour", n)
		}
		b.m.mu.Lock()
		for _, k := range b.m.mu.clients {
			if k.frames.large != nil {
				t.Errorf("%d bytes are held for 20", len(*k.frames.large))
			}
		}
		b.m.mu.Unlock()
		c.send(packet[20:])
		synctest.Wait()
		if got := s.got(); len(got) != 1 || !strings.HasSuffix(got[0], string(body)) {
			t.Errorf("%d of 1 arrived", len(got))
		}
		c.c.Close()
		b.stop()
	})
}

// lookedAt counts how often a moment is set to look.
type lookedAt struct {
	net.Conn
	n atomic.Int32
}

func (l *lookedAt) SetReadDeadline(at time.Time) error {
	l.n.Add(1)
	return l.Conn.SetReadDeadline(at)
}

// An MQTT 5 client is told how often it must be heard of, and held to that.
func TestConn_serverKeepAlive(t *testing.T) {
	for _, tc := range []struct {
		version     byte
		most        time.Duration
		asks, gets  uint16
		told        bool
		endsBefore  time.Duration
		hasNoBounds bool
	}{
		{version: v5, most: 10 * time.Second, asks: 60, gets: 10, told: true, endsBefore: 16 * time.Second},
		{version: v5, most: 10 * time.Second, asks: 0, gets: 10, told: true, endsBefore: 16 * time.Second},
		{version: v5, most: 10 * time.Second, asks: 10, endsBefore: 16 * time.Second},
		{version: v5, most: 10 * time.Second, asks: 4, endsBefore: 7 * time.Second},
		{version: v5, asks: 0, hasNoBounds: true},
		{version: v311, most: 10 * time.Second, asks: 60, endsBefore: 91 * time.Second}, // has no word for it
		{version: v311, most: 10 * time.Second, asks: 0, hasNoBounds: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			b.Opts.MQTT.MaxKeepAlive = tc.most
			c := b.pipe(tc.version)
			c.send(c.connectPacket("c", func(pk *packets.Packet) { pk.Connect.Keepalive = tc.asks }))
			pk := c.expect(packets.Connack)
			if p := pk.Properties; p.ServerKeepAliveFlag != tc.told || p.ServerKeepAlive != tc.gets {
				t.Errorf("%+v: %v, %d", tc, p.ServerKeepAliveFlag, p.ServerKeepAlive)
			}
			if tc.hasNoBounds {
				<-time.After(time.Hour)
				c.fence()
				c.c.Close()
				b.stop()
				return
			}
			begin := time.Now()
			for {
				if _, err := c.next(); err != nil {
					break
				}
			}
			if d := time.Since(begin); d > tc.endsBefore || d < tc.endsBefore-2*time.Second {
				t.Errorf("%+v: ended after %v", tc, d)
			}
			b.stop()
		})
	}
}
