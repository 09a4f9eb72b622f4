package mqtt

import (
	"bufio"
	"io"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core/inbound"
)

// maxTopicExtra is by how much a packet may be larger than max_payload: room
// for one topic of the largest size and the headers around it.
const maxTopicExtra = 65_544

// frame is one packet: the first byte and what follows the length. body is
// valid until the next read.
type frame struct {
	first byte
	body  []byte
	cut   int // bytes of a payload that were too many and are not in body
}

func (f *frame) kind() byte  { return f.first >> 4 }
func (f *frame) flags() byte { return f.first & 0x0f }

// framer cuts packets out of a stream. The length is checked before anything
// is allocated for it, and memory for a large packet grows as it arrives.
type framer struct {
	in    *bufio.Reader
	limit int        // of a whole packet, in bytes
	skim  bool       // leave out the payload of a PUBLISH above limit, instead of failing
	pool  *sync.Pool // of *[]byte, for packets larger than the buffer of in

	large   *[]byte       // lent by pool for the packet at hand
	between bool          // nothing of the next packet is known
	held    *inbound.Part // counts large; nil for nobody
}

// keepBytes is the smallest buffer for packets larger than that of in.
const keepBytes = 64 << 10

// wait returns when the next packet begins. It is where most readers are, so its
// stack is kept small: the runtime makes new ones as large as those in use.
func (r *framer) wait() error {
	r.giveBack()
	r.between = true
	_, err := r.in.Peek(1)
	r.between = false
	return err
}

// giveBack ends the packet at hand.
//
//go:noinline
func (r *framer) giveBack() {
	if r.large != nil {
		r.pool.Put(r.large)
		r.large = nil
		r.hold(0)
	}
}

func (r *framer) hold(n int) {
	if r.held != nil {
		r.held.Hold(n)
	}
}

// drop is the end: what has come of a packet is held by nobody.
func (r *framer) drop() {
	r.hold(0)
	*r = framer{}
}

// next reads one packet.
func (r *framer) next() (frame, error) {
	r.giveBack()
	first, err := r.in.ReadByte()
	if err != nil {
		return frame{}, err
	}
	n, width, err := r.length()
	if err != nil {
		return frame{}, err
	}
	if 1+width+n > r.limit && r.skim && first>>4 == packets.Publish {
		return r.skimPublish(first, n)
	}
	if 1+width+n > r.limit {
		return frame{}, fail(packets.ErrPacketTooLarge, "packet of %d bytes, the limit is %d", 1+width+n, r.limit)
	}
	if n > r.in.Size() {
		body, err := r.readLarge(n)
		return frame{first: first, body: body}, unexpected(err)
	}
	body, err := r.in.Peek(n)
	if err != nil {
		return frame{}, unexpected(err)
	}
	_, err = r.in.Discard(n) // the bytes stay until the next read
	return frame{first: first, body: body}, err
}

// skimPublish reads a PUBLISH of MQTT 3.1.1 up to its payload, and drops that as
// it comes.
func (r *framer) skimPublish(first byte, n int) (frame, error) {
	size, err := r.in.Peek(2)
	if err != nil {
		return frame{}, unexpected(err)
	}
	head := textSize(size)
	if first>>1&3 > 0 {
		head += 2
	}
	body := make([]byte, min(head, n))
	if _, err := io.ReadFull(r.in, body); err != nil {
		return frame{}, unexpected(err)
	}
	_, err = r.in.Discard(n - len(body))
	return frame{first, body, n - len(body)}, unexpected(err)
}

// readLarge reads what does not fit into the buffer of in. That is full before
// another one is lent: who only says that much will come is lent none.
func (r *framer) readLarge(n int) ([]byte, error) {
	if _, err := r.in.Peek(r.in.Size()); err != nil {
		return nil, err
	}
	r.large, _ = r.pool.Get().(*[]byte)
	if r.large == nil {
		b := make([]byte, keepBytes)
		r.large = &b
	}
	done := 0
	for {
		body := (*r.large)[:min(n, len(*r.large))]
		for done < len(body) {
			k, err := r.in.Read(body[done:])
			if err != nil {
				return nil, err
			}
			done += k
			r.hold(len(*r.large)) // each time that something comes
		}
		if done == n {
			return body, nil
		}
		more := make([]byte, min(n, 2*done))
		copy(more, body)
		*r.large = more
	}
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
