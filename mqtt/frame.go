package mqtt

import (
	"bufio"
	"io"

	"github.com/mochi-mqtt/server/v2/packets"
)

// maxTopicExtra is by how much a packet may be larger than max_payload: room
// for one topic of the largest size and the headers around it.
const maxTopicExtra = 65_544

// frame is one packet: the first byte and what follows the length. body is
// valid until the next read.
type frame struct {
	first byte
	body  []byte
}

func (f *frame) kind() byte  { return f.first >> 4 }
func (f *frame) flags() byte { return f.first & 0x0f }

// framer cuts packets out of a stream. The length is checked before anything
// is allocated for it.
type framer struct {
	in    *bufio.Reader
	limit int // of a whole packet, in bytes
	buf   []byte
}

// keepBytes is the largest buffer kept from packet to packet.
const keepBytes = 64 << 10

// next reads one packet.
func (r *framer) next() (frame, error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return frame{}, err
	}
	n, width, err := r.length()
	if err != nil {
		return frame{}, err
	}
	if 1+width+n > r.limit {
		return frame{}, fail(packets.ErrPacketTooLarge, "packet of %d bytes, the limit is %d", 1+width+n, r.limit)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 512))
	} else if cap(r.buf) > keepBytes && n < keepBytes/2 {
		r.buf = make([]byte, keepBytes/2)
	}
	body := r.buf[:n]
	if _, err := io.ReadFull(r.in, body); err != nil {
		return frame{}, err
	}
	return frame{first, body}, nil
}

// length reads the remaining length: at most four bytes, seven bits each
// [MQTT-1.5.5-1].
func (r *framer) length() (n, width int, err error) {
	for shift := 0; ; shift += 7 {
		c, err := r.in.ReadByte()
		if err != nil {
			return 0, 0, unexpected(err)
		}
		width++
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			return n, width, nil
		}
		if width == 4 {
			return 0, 0, fail(packets.ErrMalformedVariableByteInteger, "remaining length of more than four bytes")
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendLength appends n as a variable byte integer.
func appendLength(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// lengthWidth is how many bytes appendLength appends.
func lengthWidth(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}
