package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// alarms are published with QoS 2 by a sensor with a kept session, all along the run,
// for a panel that is away. The panel reads them at the end: each has to be there once,
// in order, whatever happened to the edge.
//
// The sensor keeps what MQTT asks it to keep (4.3.3): which alarm is on its way, and
// whether the edge has it. paho's client for Go sends a PUBLISH again behind its PUBREL.
type alarms struct {
	addr  string
	count int
	// due is how many there shall be by now.
	due func() int

	next int  // of the sensor: the alarm that is on its way
	held bool // and the edge has it: PUBREC came
}

const (
	alarmTopic = "alarm/door"
	patience   = 20 * time.Second // for one packet
)

// dial connects with a session that is kept for an hour.
func (a *alarms) dial(ctx context.Context, id string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", a.addr)
	if err != nil {
		return nil, err
	}
	c := packets.NewControlPacket(packets.CONNECT)
	body := c.Content.(*packets.Connect)
	hour := uint32(3600)
	body.ClientID, body.KeepAlive = id, 30
	body.Properties = &packets.Properties{SessionExpiryInterval: &hour}
	p, err := exchange(conn, c)
	if err == nil {
		if ack, is := p.Content.(*packets.Connack); !is || ack.ReasonCode != 0 {
			err = &refusal{fmt.Sprintf("the edge refuses %s: %v", id, p)}
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// exchange sends a packet and reads the one that follows.
func exchange(conn net.Conn, c *packets.ControlPacket) (*packets.ControlPacket, error) {
	if _, err := c.WriteTo(conn); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return packets.ReadPacket(conn)
}

// enrol is the panel's first connection: it subscribes, and goes.
func (a *alarms) enrol(ctx context.Context) error {
	conn, err := a.dial(ctx, "panel")
	if err != nil {
		return err
	}
	defer conn.Close()
	c := packets.NewControlPacket(packets.SUBSCRIBE)
	body := c.Content.(*packets.Subscribe)
	body.PacketID, body.Subscriptions = 1, []packets.SubOptions{{Topic: alarmTopic, QoS: 2}}
	p, err := exchange(conn, c)
	if err != nil {
		return err
	}
	if ack, is := p.Content.(*packets.Suback); !is || len(ack.Reasons) != 1 || ack.Reasons[0] != 2 {
		return &refusal{fmt.Sprintf("the edge does not grant QoS 2: %v", p)}
	}
	_, err = packets.NewControlPacket(packets.DISCONNECT).WriteTo(conn)
	return err
}

// publish is the sensor; it returns when the edge has all, each acknowledged to the end.
func (a *alarms) publish(ctx context.Context) error {
	for {
		err := a.session(ctx)
		var refused *refusal
		if err == nil || errors.As(err, &refused) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sensor: %d of %d alarms: %w (last: %v)", a.next, a.count, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// session is one connection of the sensor: it goes on where the one before has ended.
func (a *alarms) session(ctx context.Context) error {
	conn, err := a.dial(ctx, "door")
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	again := true // the first of a connection may have been sent before
	for a.next < a.count {
		if a.due() <= a.next {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !a.held {
			if err := a.step(conn, a.message(again), packets.PUBREC); err != nil {
				return err
			}
			a.held = true
		}
		rel := packets.NewControlPacket(packets.PUBREL)
		rel.Content.(*packets.Pubrel).PacketID = packetID(a.next)
		if err := a.step(conn, rel, packets.PUBCOMP); err != nil {
			return err
		}
		a.next, a.held, again = a.next+1, false, false
	}
	_, _ = packets.NewControlPacket(packets.DISCONNECT).WriteTo(conn)
	return nil
}

func (a *alarms) message(again bool) *packets.ControlPacket {
	c := packets.NewControlPacket(packets.PUBLISH)
	p := c.Content.(*packets.Publish)
	p.Topic, p.QoS, p.PacketID, p.Payload, p.Duplicate = alarmTopic, 2, packetID(a.next), fmt.Append(nil, a.next), again
	return c
}

// step sends a packet and wants one answer to it.
func (a *alarms) step(conn net.Conn, c *packets.ControlPacket, want byte) error {
	p, err := exchange(conn, c)
	if err != nil {
		return err
	}
	var id uint16
	var code byte
	switch b := p.Content.(type) {
	case *packets.Pubrec:
		id, code = b.PacketID, b.ReasonCode
	case *packets.Pubcomp:
		id, code = b.PacketID, b.ReasonCode
	}
	if p.Type != want || id != packetID(a.next) || code >= 0x80 {
		return fmt.Errorf("alarm %d: the edge answers with %v", a.next, p)
	}
	return nil
}

// read is the panel, back again: it takes all that it was kept.
func (a *alarms) read(ctx context.Context) error {
	conn, err := a.dial(ctx, "panel")
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	got := newTally("the panel", a.count)
	for done := 0; done < a.count; {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return errors.Join(err, got.verdict())
		}
		var answer *packets.ControlPacket
		switch b := p.Content.(type) {
		case *packets.Publish:
			var n int
			if _, err := fmt.Sscan(string(b.Payload), &n); err != nil || b.QoS != 2 || n < 0 || n >= a.count {
				return fmt.Errorf("no alarm: %q with QoS %d", b.Payload, b.QoS)
			}
			got.add(n)
			answer = packets.NewControlPacket(packets.PUBREC)
			answer.Content.(*packets.Pubrec).PacketID = b.PacketID
		case *packets.Pubrel:
			answer = packets.NewControlPacket(packets.PUBCOMP)
			answer.Content.(*packets.Pubcomp).PacketID = b.PacketID
			done++
		default:
			return fmt.Errorf("the panel gets %v", p)
		}
		if _, err := answer.WriteTo(conn); err != nil {
			return err
		}
	}
	return got.verdict()
}
