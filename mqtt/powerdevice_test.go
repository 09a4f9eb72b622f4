package mqtt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// powerWindow is how many messages such a device has on their way; the few identifiers
// are used again soon.
const (
	powerWindow = 6
	powerIDs    = 9
)

// powerDevice is a client that publishes or subscribes, and forgets nothing: its fields
// are what a file store would have.
type powerDevice struct {
	id, publishes, filter string
	version, qos          byte
	rnd                   *rand.Rand
	quiet                 atomic.Bool // it begins no message more

	mu         sync.Mutex
	subscribed bool
	next       int // message that it publishes
	last       uint16
	order      []uint16 // of sent
	sent       map[uint16]*powerSent
	resent     map[string]bool   // texts that it has sent again
	held       map[uint16]string // texts by identifiers that are not released
	got        []powerGot
	lines      int
	faults     []string
	stats      map[string]int

	line *deviceLine
}

type powerSent struct {
	text     string
	released bool
}

type powerGot struct {
	text string
	line int // the connection
	dup  bool
}

// deviceLine is one connection: one goroutine reads, one writes what is to be said, and
// of a publisher one begins messages.
type deviceLine struct {
	nc   net.Conn
	out  chan []byte
	over chan struct{}
	once sync.Once
	work sync.WaitGroup
}

func (l *deviceLine) end() { l.once.Do(func() { close(l.over); l.nc.Close() }) }

func (l *deviceLine) say(b []byte) {
	select {
	case l.out <- b:
	case <-l.over:
	}
}

func (d *powerDevice) faultLocked(format string, args ...any) {
	if len(d.faults) < 5 {
		d.faults = append(d.faults, fmt.Sprintf(format, args...))
	}
}

func (d *powerDevice) failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.faults) > 0
}

// has reports whether it has subscribed.
func (d *powerDevice) has() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.subscribed
}

func (d *powerDevice) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.order) + len(d.held)
}

// connect comes back on a new line.
func (d *powerDevice) connect(nc net.Conn) {
	d.leave()
	l := &deviceLine{nc: nc, out: make(chan []byte, 256), over: make(chan struct{})}
	d.line = l
	slow := rand.New(rand.NewPCG(d.rnd.Uint64(), 4))
	l.work.Go(func() {
		for {
			select {
			case b := <-l.out:
				if slow.IntN(2) == 0 { // much happens on the disk meanwhile
					<-time.After(time.Duration(slow.IntN(30)) * time.Millisecond)
				}
				if _, err := nc.Write(b); err != nil {
					l.end()
				}
			case <-l.over:
				return
			}
		}
	})
	l.work.Go(func() {
		d.read(l)
		l.end()
	})
	pk := &packets.Packet{ProtocolVersion: d.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName, pk.Connect.ClientIdentifier = []byte("MQTT"), d.id
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 1<<32-2, d.version == v5
	b, err := encode(pk.ConnectEncode)
	if err != nil {
		panic(err)
	}
	l.say(b)
}

// leave ends the line, without a word.
func (d *powerDevice) leave() {
	if d.line != nil {
		d.line.end()
		d.line.work.Wait()
		d.line = nil
	}
}

func (d *powerDevice) read(l *deviceLine) {
	f := framer{in: bufio.NewReader(l.nc), limit: 1 << 28, pool: new(sync.Pool)}
	for {
		p, err := f.next()
		if err != nil {
			return
		}
		d.mu.Lock()
		answers := d.handleLocked(p)
		d.mu.Unlock()
		for _, b := range answers {
			l.say(b)
		}
		if p.kind() == packets.Connack && d.publishes != "" {
			l.work.Go(func() { d.publish(l) })
		}
	}
}

// handleLocked takes a packet; what is remembered is remembered before the answer.
func (d *powerDevice) handleLocked(f frame) [][]byte {
	var id uint16
	if f.kind() != packets.Publish && f.kind() != packets.Connack && len(f.body) >= 2 {
		id = binary.BigEndian.Uint16(f.body)
	}
	if kind := f.kind(); kind >= packets.Puback && kind <= packets.Pubcomp && len(f.body) > 2 && f.body[2] >= 0x80 {
		if kind != packets.Pubrel && kind != packets.Pubcomp || f.body[2] != packets.ErrPacketIdentifierNotFound.Code {
			d.faultLocked("packet %d with identifier %d: %#x", kind, id, f.body[2])
		}
	}
	answer := func(kind byte) [][]byte { return [][]byte{appendAck(nil, kind, d.version, id, 0)} }
	switch f.kind() {
	case packets.Connack:
		return d.connectedLocked(f)
	case packets.Suback:
		d.subscribed = true
	case packets.Publish:
		return d.messageLocked(f)
	case packets.Pubrel:
		if _, holds := d.held[id]; !holds {
			d.stats["PUBREL came again"]++
		}
		delete(d.held, id)
		return answer(packets.Pubcomp)
	case packets.Puback, packets.Pubcomp:
		if s := d.sent[id]; s == nil || s.released != (f.kind() == packets.Pubcomp) {
			d.faultLocked("an acknowledgement %d of identifier %d, which is %+v", f.kind(), id, s)
			return nil
		}
		delete(d.sent, id)
		d.order = slices.DeleteFunc(d.order, func(o uint16) bool { return o == id })
	case packets.Pubrec:
		if s := d.sent[id]; s != nil {
			s.released = true
		}
		return answer(packets.Pubrel)
	}
	return nil
}

// connectedLocked goes on with what is not completed, in its order, and then with more.
func (d *powerDevice) connectedLocked(f frame) (all [][]byte) {
	if f.body[1] != 0 {
		d.faultLocked("CONNACK %#x", f.body[1])
		return nil
	}
	d.lines++
	if d.filter != "" && !d.subscribed {
		pk := &packets.Packet{ProtocolVersion: d.version, PacketID: 1, Filters: packets.Subscriptions{{Filter: d.filter, Qos: d.qos}}}
		pk.FixedHeader = packets.FixedHeader{Type: packets.Subscribe, Qos: 1}
		b, err := encode(pk.SubscribeEncode)
		if err != nil {
			panic(err)
		}
		all = append(all, b)
	} else if d.filter != "" && f.body[0] != 1 {
		d.faultLocked("the session is gone")
	}
	for _, id := range d.order {
		s := d.sent[id]
		if s.released {
			d.stats["PUBREL again"]++
			all = append(all, appendAck(nil, packets.Pubrel, d.version, id, 0))
			continue
		}
		d.stats["PUBLISH again"]++
		d.resent[s.text] = true
		all = append(all, d.packet(id, s.text, true))
	}
	return all
}

func (d *powerDevice) packet(id uint16, text string, again bool) []byte {
	topic := []byte(d.publishes + "/" + text[len(text)-1:])
	b := appendPublish(nil, d.version, d.qos, id, topic, nil, []byte(text))
	if again {
		b[0] |= flagDup
	}
	return b
}

// publish begins messages: some at once, and now and then none for a while.
func (d *powerDevice) publish(l *deviceLine) {
	for !d.quiet.Load() {
		d.mu.Lock()
		var b []byte
		if len(d.order) < powerWindow {
			id := d.last
			for id = id%powerIDs + 1; d.sent[id] != nil; {
				id = id%powerIDs + 1
			}
			text := fmt.Sprintf("%06d", d.next)
			d.sent[id], d.order, d.last = &powerSent{text: text}, append(d.order, id), id
			d.next++
			b = d.packet(id, text, false)
		}
		wait := time.Duration(d.rnd.IntN(3)) * time.Millisecond
		if d.rnd.IntN(60) == 0 {
			wait = time.Duration(d.rnd.IntN(1500)) * time.Millisecond
		}
		d.mu.Unlock()
		if b != nil {
			l.say(b)
		}
		select {
		case <-l.over:
			return
		case <-time.After(wait):
		}
	}
}

// messageLocked takes a message: with QoS 2 one under an identifier that is not released
// is the one that it was.
func (d *powerDevice) messageLocked(f frame) [][]byte {
	p, err := parsePublish(f, d.version)
	if err != nil {
		d.faultLocked("%v", err)
		return nil
	}
	text, dup := string(bytes.Clone(p.payload)), f.first&flagDup != 0
	if p.qos != d.qos {
		d.faultLocked("%s came with QoS %d", text, p.qos)
	}
	if p.qos == 2 {
		switch was, holds := d.held[p.id]; {
		case !holds:
			d.got = append(d.got, powerGot{text, d.lines, dup})
			d.held[p.id] = text
		case was != text:
			d.faultLocked("%s came under identifier %d, which %s has", text, p.id, was)
		default:
			d.stats["came again, QoS 2"]++
			if !dup {
				d.faultLocked("%s came again without DUP", text)
			}
		}
		return [][]byte{appendAck(nil, packets.Pubrec, d.version, p.id, 0)}
	}
	d.got = append(d.got, powerGot{text, d.lines, dup})
	if dup {
		d.stats["came again, QoS 1"]++
	}
	return [][]byte{appendAck(nil, packets.Puback, d.version, p.id, 0)}
}

// exactly wants all messages once, in order.
func (d *powerDevice) exactly(t *testing.T, all int) {
	t.Helper()
	for i, g := range d.got {
		if want := fmt.Sprintf("%06d", i); g.text != want {
			t.Errorf("%s: message %d is %s, want %s: %v", d.id, i, g.text, want, d.got[max(0, i-9):min(i+9, len(d.got))])
			return
		}
	}
	if len(d.got) != all {
		t.Errorf("%s: %d of %d came", d.id, len(d.got), all)
	}
}

// atLeast wants all messages of a publisher, in order. What comes again has DUP, and on
// each connection comes in order too, unless the publisher has sent it again.
func (d *powerDevice) atLeast(t *testing.T, by *powerDevice) {
	t.Helper()
	seen, line, last := make(map[string]bool), 0, ""
	for i, g := range d.got {
		switch want := fmt.Sprintf("%06d", len(seen)); {
		case by.resent[g.text]: // another message for the broker
		case seen[g.text] && !g.dup:
			t.Errorf("%s: message %d, %s, came before, and has no DUP", d.id, i, g.text)
			return
		case g.line == line && g.text <= last:
			t.Errorf("%s: message %d is %s, behind %s", d.id, i, g.text, last)
			return
		case !seen[g.text] && g.text != want:
			t.Errorf("%s: message %d is %s, want %s", d.id, i, g.text, want)
			return
		}
		seen[g.text] = true
		if !by.resent[g.text] {
			line, last = g.line, g.text
		}
	}
	if len(seen) != by.next {
		t.Errorf("%s: %d of %d came", d.id, len(seen), by.next)
	}
}
