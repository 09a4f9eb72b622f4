package mqtt

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/wire"
)

func TestConn_slowClients(t *testing.T) {
	t.Run("messages", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			b.Opts.MaxPending = 10_000
			c := b.pipeConnected(v311, "slow", nil)
			c.subscribe("a", 0)
			for range 100 {
				b.publish(wire.Msg{Subject: []byte("a"), Body: make([]byte, 1000)})
			}
			synctest.Wait()
			if b.Acc.HasInterest("a") {
				t.Error("it was not cut off")
			}
			c.c.Close()
			b.stop()
			if !b.Log.Contains("slow consumer") {
				t.Error("the log does not say why")
			}
		})
	})
	t.Run("questions without reading the answers", func(t *testing.T) {
		for _, ask := range []string{"c0 00", "32 06 00 01 61 00 07 31", "82 06 00 01 00 01 61 00"} {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t)
				b.Opts.MaxPending = 10_000
				c := b.pipeConnected(v311, "slow", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
				packet := bytes.Repeat(unhex(t, ask), 100)
				end := time.Now().Add(5 * time.Second) // before the write deadline
				_ = c.c.SetWriteDeadline(end)
				var err error
				for err == nil {
					_, err = c.c.Write(packet)
				}
				if !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%s: it was not cut off: %v", ask, err)
				}
				b.stop()
			})
		}
	})
	t.Run("messages beyond the window", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			b.Opts.MaxPending = 10_000
			c := b.pipeConnected(v5, "slow", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 1 })
			c.subscribe("a", 1)
			go func() { // reads, and acknowledges nothing
				for {
					if _, err := c.next(); err != nil {
						return
					}
				}
			}()
			for range 1000 { // empty ones take memory too
				b.publish(wire.Msg{Subject: []byte("a"), Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n")})
			}
			synctest.Wait()
			if b.Acc.HasInterest("a") {
				t.Error("it was not cut off")
			}
			c.c.Close()
			b.stop()
		})
	})
	t.Run("a write may take as long as it makes progress", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			c := b.pipeConnected(v311, "slow", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
			c.subscribe("a", 0)
			const size = 500_000
			b.publish(wire.Msg{Subject: []byte("a"), Body: make([]byte, size)})
			buf := make([]byte, 10_000)
			for n := 0; n < size; {
				<-time.After(time.Second) // much more than the write deadline in all
				k, err := c.c.Read(buf)
				if err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
				n += k
			}
			c.c.Close()
			b.stop()
		})
	})
}

func TestConn_stuckClientsDoNotHoldUpShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		quiet := b.pipeConnected(v5, "quiet", nil)
		stuck := b.pipeConnected(v5, "stuck", nil)
		stuck.subscribe("a", 0)
		b.publish(wire.Msg{Subject: []byte("a"), Body: make([]byte, 100_000)}) // never read
		early := b.pipe(v5)                                                    // never sends CONNECT
		synctest.Wait()
		ended := make(chan struct{})
		go func() {
			quiet.expectEnd(packets.ErrServerShuttingDown.Code)
			close(ended)
		}()
		if d := b.stop(); d > 2*farewell {
			t.Errorf("shutdown took %v", d)
		}
		<-ended
		stuck.c.Close()
		early.c.Close()
	})
}

// A client over its limit is still acknowledged, and its own acknowledgements
// still count.
func TestConn_answersAboveTheLimit(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	b := newBroker(t)
	defer b.stop()
	b.Opts.MaxPending = 200
	c := b.m.newConn(1, here, nil, b.Opts)
	c.version, c.window = v311, newWindow(1, c.out)
	message := wire.Msg{Header: []byte("NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n"), Body: make([]byte, 80)}
	for range 2 {
		if !c.send(1, 0, []byte("a"), &message, 0) {
			t.Fatal("no room")
		}
	}
	if c.window.queued.Size() == 0 || c.out.Pending() < 160 || c.out.Pending() > 200 {
		t.Fatalf("%d wait, %d of them for the window", c.out.Pending(), c.window.queued.Size())
	}
	if c.out.Gate() == nil {
		t.Error("publishers are not told to wait")
	}
	c.out.Lock()
	if c.roomLocked(80) {
		t.Error("there is room above the limit")
	}
	c.out.Unlock()
	if err := c.puback(frame{first: packets.Puback << 4, body: []byte{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if c.window.queued.Size() != 0 {
		t.Error("a PUBACK was not heard")
	}
	r := c.acks.open(7, 1)
	before := c.out.Pending()
	r.routed(0)
	if c.out.Pending() != before+4 || c.acks.waiting() != 0 {
		t.Error("a PUBACK was not queued")
	}
}

// Who has sent more than may wait for the disk is not read any further, MQTT 5
// clients too, and goes on when there is room.
func TestConn_heldUpBeyondReceiveMaximum(t *testing.T) {
	bothVersions(t, func(t *testing.T, version byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			s := b.capture("a")
			c := b.pipeConnected(version, "c", nil)
			const n = receiveMaximum + 500
			go func() { // the connection takes no more at some point
				for i := range n {
					c.publish("a", "", 1, uint16(i+1))
				}
			}()
			synctest.Wait()
			if got := len(s.got()); got != receiveMaximum {
				t.Errorf("%d messages were taken", got)
			}
			<-time.After(time.Minute) // a slow disk, within the keep alive
			for i := range n {
				synctest.Wait()
				s.store(i, nil)
				if pk := c.expect(packets.Puback); int(pk.PacketID) != i+1 || pk.ReasonCode != 0 {
					t.Fatalf("PUBACK %d: %+v", i, pk)
				}
			}
			c.c.Close()
			b.stop()
		})
	})
}
