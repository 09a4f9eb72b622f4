package mosquitto

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Send publishes retained messages to an MQTT 5 broker, with QoS 1, over nc, which it
// does not close. Those that have expired are left out. It returns how many the broker
// has; the error names the first that it refused. At most patience passes between two
// answers.
func Send(nc net.Conn, user, password string, all []Retained, now time.Time, patience time.Duration) (sent int, err error) {
	in := bufio.NewReader(nc)
	if err := await(nc, patience, connectPacket(user, password)); err != nil {
		return 0, err
	}
	ack, err := packet(in, 0x20)
	switch {
	case err != nil:
		return 0, fmt.Errorf("waiting for CONNACK: %w", err)
	case len(ack) < 2 || ack[1] != 0:
		return 0, fmt.Errorf("the broker does not let us in: CONNACK %x", ack)
	}
	for len(all) > 0 {
		var out []byte
		n := 0
		topics := make([]string, 0, window)
		for n < len(all) && len(topics) < window {
			m := &all[n]
			n++
			if !m.Expires.IsZero() && !m.Expires.After(now) {
				continue
			}
			topics = append(topics, m.Topic)
			out = appendRetained(out, m, uint16(len(topics)), now)
		}
		all = all[n:]
		if err := await(nc, patience, out); err != nil {
			return sent, err
		}
		for _, topic := range topics {
			ack, err := packet(in, 0x40)
			switch {
			case err != nil:
				return sent, fmt.Errorf("waiting for the PUBACK of %q: %w", topic, err)
			case len(ack) > 2 && ack[2] >= 0x80:
				return sent, fmt.Errorf("the broker refuses %q: PUBACK %#x", topic, ack[2])
			}
			sent++
		}
	}
	_, err = nc.Write([]byte{0xe0, 0})
	return sent, err
}

// window is how many wait for their PUBACK: the broker brings them down together.
const window = 100

func await(nc net.Conn, patience time.Duration, b []byte) error {
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := nc.Write(b)
	return err
}

func connectPacket(user, password string) []byte {
	flags, id := byte(2), "frond-import"
	if user != "" {
		flags |= 0x80
	}
	if password != "" {
		flags |= 0x40
	}
	b := append([]byte("\x00\x04MQTT\x05"), flags, 0, 0, 0)
	b = appendText(b, id)
	if user != "" {
		b = appendText(b, user)
	}
	if password != "" {
		b = appendText(b, password)
	}
	return framed(nil, 0x10, b)
}

func appendRetained(dst []byte, m *Retained, id uint16, now time.Time) []byte {
	b := binary.BigEndian.AppendUint16(appendText(nil, m.Topic), id)
	if m.Expires.IsZero() {
		b = append(b, 0)
	} else {
		b = binary.BigEndian.AppendUint32(append(b, 5, 2), uint32(min(int64(m.Expires.Sub(now)/time.Second)+1, 1<<32-1)))
	}
	return framed(dst, 0x33, append(b, m.Payload...))
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func framed(dst []byte, first byte, body []byte) []byte {
	dst = append(dst, first)
	n := len(body)
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(append(dst, byte(n)), body...)
}

// packet reads one, which has to be of that kind.
func packet(in *bufio.Reader, want byte) ([]byte, error) {
	first, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	n := 0
	for shift := 0; ; shift += 7 {
		c, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			break
		}
		if shift == 14 { // no answer is as long as that
			return nil, errors.New("the broker sends what is no MQTT")
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if first&0xf0 != want {
		return nil, fmt.Errorf("packet type %d", first>>4)
	}
	return body, nil
}
