package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// device publishes readings with QoS 1 over MQTT 5 and keeps up to window of
// them in flight. It speaks paho's packets itself, because paho's client
// offers either one publication at a time or no way to learn which ones were
// acknowledged.
//
// When the connection is lost it reconnects and sends again, in order, what
// was not acknowledged, as MQTT asks (4.4), with the same message id, so that
// the stream can drop what it already has.
type device struct {
	addr     string
	readings int
	// prefix and topic tell one of several devices; "" and the usual topic else.
	prefix, topic string
	acked         atomic.Int64
	sent          atomic.Int64 // PUBLISH packets, repeated ones among them
	connects      atomic.Int64
}

const window = 64

// The device measures burst times every pace, so that a run lasts some
// seconds and the trouble happens in the middle of it.
const (
	burst = 25
	pace  = 25 * time.Millisecond
)

type reading struct {
	ID      string  `json:"id"`
	N       int     `json:"n"`
	Sensor  string  `json:"sensor"`
	Celsius float64 `json:"celsius"`
}

func readingID(i int) string { return fmt.Sprintf("reading-%05d", i) }

// run returns when every reading is acknowledged.
func (d *device) run(ctx context.Context) error {
	for {
		err := d.session(ctx)
		if err == nil {
			return nil
		}
		var refused *refusal
		if errors.As(err, &refused) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("device: %d of %d acknowledged: %w (last: %v)", d.acked.Load(), d.readings, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// refusal is an answer that trying again does not change.
type refusal struct{ what string }

func (r *refusal) Error() string { return r.what }

// session is one connection.
func (d *device) session(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := d.hello(conn); err != nil {
		return err
	}
	d.connects.Add(1)

	// The reader counts acknowledgements in the order of the publications,
	// which is the order the specification demands for them (4.6).
	base := int(d.acked.Load())
	slots := make(chan struct{}, window)
	ended := make(chan error, 1)
	go func() { ended <- d.acks(conn, base, slots) }()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := base; i < d.readings; i++ {
		if i%burst == 0 {
			select {
			case <-tick.C:
			case err := <-ended:
				return err
			}
		}
		select {
		case slots <- struct{}{}:
		case err := <-ended:
			return err
		}
		if err := d.publish(conn, i, i-base); err != nil {
			conn.Close()
			return errors.Join(err, <-ended)
		}
	}
	if err := <-ended; err != nil {
		return err
	}
	bye := packets.NewControlPacket(packets.DISCONNECT)
	_, _ = bye.WriteTo(conn)
	return nil
}

func (d *device) hello(conn net.Conn) error {
	c := packets.NewControlPacket(packets.CONNECT)
	body := c.Content.(*packets.Connect)
	body.ClientID, body.KeepAlive, body.CleanStart = "thermometer", 30, true
	if _, err := c.WriteTo(conn); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	p, err := packets.ReadPacket(conn)
	if err != nil {
		return err
	}
	ack, is := p.Content.(*packets.Connack)
	if !is || ack.ReasonCode != 0 {
		return &refusal{fmt.Sprintf("the edge refuses the MQTT 5 connection: %v", p)}
	}
	return nil
}

func (d *device) publish(conn net.Conn, i, n int) error {
	body, err := json.Marshal(reading{ID: d.prefix + readingID(i), N: i, Sensor: "thermometer", Celsius: 20 + float64(i%100)/10})
	if err != nil {
		return err
	}
	c := packets.NewControlPacket(packets.PUBLISH)
	p := c.Content.(*packets.Publish)
	p.Topic, p.QoS, p.PacketID, p.Payload = d.topicName(), 1, packetID(n), body
	p.Properties = &packets.Properties{User: []packets.User{{Key: "Nats-Msg-Id", Value: d.prefix + readingID(i)}}}
	d.sent.Add(1)
	_, err = c.WriteTo(conn)
	return err
}

func (d *device) topicName() string {
	if d.topic == "" {
		return "plant/7/temperature"
	}
	return d.topic
}

// packetID numbers the publications of one connection from 1.
func packetID(n int) uint16 { return uint16(n%0xffff) + 1 }

func (d *device) acks(conn net.Conn, base int, slots <-chan struct{}) error {
	for i := base; i < d.readings; {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return err
		}
		switch a := p.Content.(type) {
		case *packets.Puback:
			if a.PacketID != packetID(i-base) {
				return &refusal{fmt.Sprintf("PUBACK for packet %d, want %d: out of order", a.PacketID, packetID(i-base))}
			}
			if a.ReasonCode >= 0x80 {
				return fmt.Errorf("reading %d is refused: reason code %#x", i, a.ReasonCode)
			}
			i++
			d.acked.Store(int64(i))
			<-slots
		case *packets.Disconnect:
			return fmt.Errorf("the edge disconnects: reason code %#x", a.ReasonCode)
		}
	}
	return nil
}
