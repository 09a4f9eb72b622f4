package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// rawMQTT speaks as much of MQTT 3.1.1 as the loads need, and costs little: a library
// costs more than the brokers do.
type rawMQTT struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	body []byte // of the last packet
}

// Types of packets.
const (
	mqttConnack = 2
	mqttPublish = 3
	mqttPuback  = 4
	mqttPubrec  = 5
	mqttPubrel  = 6
	mqttPubcomp = 7
	mqttSuback  = 9
)

// dialMQTT connects; kept asks for a session that outlives the connection.
func dialMQTT(ctx context.Context, addr, id string, kept bool) (*rawMQTT, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	c := &rawMQTT{conn: conn, in: bufio.NewReaderSize(conn, 32<<10), out: bufio.NewWriterSize(conn, 32<<10)}
	flags := byte(2)
	if kept {
		flags = 0
	}
	b := appendText([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0}, id)
	if _, err = conn.Write(b); err == nil {
		err = c.expect(mqttConnack)
	}
	if err == nil && c.body[1] != 0 {
		err = fmt.Errorf("CONNACK with %d", c.body[1])
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// close says good-bye, and waits until the broker has read all.
func (c *rawMQTT) close() {
	_, _ = c.out.Write([]byte{0xe0, 0})
	if c.out.Flush() == nil {
		_, _ = io.Copy(io.Discard, c.in)
	}
	c.conn.Close()
}

// fresh ends the session that an earlier run may have left.
func fresh(ctx context.Context, addr, id string) error {
	c, err := dialMQTT(ctx, addr, id, false)
	if err == nil {
		c.close()
	}
	return err
}

// read reads a packet into body.
func (c *rawMQTT) read() (kind byte, err error) {
	first, err := c.readFirst()
	return first >> 4, err
}

// readFirst is read with the flags of the packet.
func (c *rawMQTT) readFirst() (first byte, err error) {
	if first, err = c.in.ReadByte(); err != nil {
		return 0, err
	}
	n, err := binary.ReadUvarint(c.in) // a remaining length is one
	if err != nil {
		return 0, err
	}
	c.body = slices.Grow(c.body[:0], int(n))[:n]
	_, err = io.ReadFull(c.in, c.body)
	return first, err
}

func (c *rawMQTT) expect(kind byte) error {
	got, err := c.read()
	if err == nil && got != kind {
		err = fmt.Errorf("packet of type %d instead of %d", got, kind)
	}
	return err
}

func (c *rawMQTT) subscribe(filter string, qos byte) error {
	b := append(appendText([]byte{0x82, byte(5 + len(filter)), 0, 1}, filter), qos)
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	return c.expect(mqttSuback)
}

// answer queues a packet that is only an identifier.
func (c *rawMQTT) answer(kind byte, id uint16) {
	flags := byte(0)
	if kind == mqttPubrel {
		flags = 2
	}
	b := [4]byte{kind<<4 | flags, 2, byte(id >> 8), byte(id)}
	_, _ = c.out.Write(b[:]) // Flush says what went wrong
}

// publication is a PUBLISH without its identifier, for which it has room.
func publication(topic string, qos byte, data []byte) (packet []byte, id int) {
	size := 2 + len(topic) + len(data)
	if qos > 0 {
		size += 2
	}
	b := appendText(binary.AppendUvarint([]byte{mqttPublish<<4 | qos<<1}, uint64(size)), topic)
	id = len(b)
	if qos > 0 {
		b = append(b, 0, 0)
	}
	return append(b, data...), id
}

// publish publishes n messages with QoS 1 or 2 to topics in turn, with window of them on
// their way, and ends when all are acknowledged. took is told of each how long that took;
// it may be nil.
func (c *rawMQTT) publish(topics []string, qos byte, n, window int, data []byte, took func(time.Duration)) error {
	packets, ids := make([][]byte, len(topics)), make([]int, len(topics))
	for i, topic := range topics {
		packets[i], ids[i] = publication(topic, qos, data)
	}
	begun := make([]time.Time, window+1) // by identifier
	free := make([]uint16, window)
	for i := range free {
		free[i] = uint16(i + 1)
	}
	for sent, done := 0, 0; done < n; {
		for ; sent < n && len(free) > 0; sent++ {
			id := free[len(free)-1]
			free = free[:len(free)-1]
			packet, at := packets[sent%len(packets)], ids[sent%len(packets)]
			binary.BigEndian.PutUint16(packet[at:], id)
			if took != nil {
				begun[id] = time.Now()
			}
			_, _ = c.out.Write(packet)
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		for first := true; first || c.in.Buffered() >= 4; first = false {
			kind, err := c.read()
			if err != nil {
				return err
			}
			id := binary.BigEndian.Uint16(c.body)
			switch {
			case qos == 1 && kind == mqttPuback, qos == 2 && kind == mqttPubcomp:
				if took != nil {
					took(time.Since(begun[id]))
				}
				free = append(free, id)
				done++
			case qos == 2 && kind == mqttPubrec:
				c.answer(mqttPubrel, id)
			default:
				return fmt.Errorf("packet of type %d for a publication with QoS %d", kind, qos)
			}
		}
	}
	return nil
}

// take reads n messages to the end of their handshakes. came is told of each; it may be
// nil.
func (c *rawMQTT) take(n int, came func()) error {
	for done := 0; done < n; {
		first, err := c.readFirst()
		if err != nil {
			return err
		}
		switch first >> 4 {
		case mqttPublish:
			qos := first >> 1 & 3
			if qos < 2 {
				done++
			}
			if came != nil {
				came()
			}
			if qos > 0 {
				at := 2 + int(binary.BigEndian.Uint16(c.body))
				c.answer(mqttPuback+qos-1, binary.BigEndian.Uint16(c.body[at:]))
			}
		case mqttPubrel:
			c.answer(mqttPubcomp, binary.BigEndian.Uint16(c.body))
			done++
		default:
			return fmt.Errorf("packet of type %d while messages come", first>>4)
		}
		if c.in.Buffered() == 0 || done == n {
			if err := c.out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
