package mqttconf

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// Stub is a server that acknowledges everything and does nothing: it lets everybody
// in, has an answer for each packet that wants one, closes no connection and delivers
// no message. What it passes shows nothing.
type Stub struct {
	ln   net.Listener
	work sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// NewStub starts one on a port of the system's choice.
func NewStub() (*Stub, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Stub{ln: ln, conns: map[net.Conn]struct{}{}}
	s.work.Go(s.accept)
	return s, nil
}

// Addr is where it listens.
func (s *Stub) Addr() string { return s.ln.Addr().String() }

// Close ends it and all of its connections.
func (s *Stub) Close() {
	s.mu.Lock()
	s.closed = true
	s.ln.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

func (s *Stub) accept() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			nc.Close()
		} else {
			s.conns[nc] = struct{}{}
			s.work.Go(func() { s.serve(nc) })
		}
		s.mu.Unlock()
	}
}

func (s *Stub) serve(nc net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
		nc.Close()
	}()
	in := bufio.NewReader(nc)
	version := byte(v311)
	for {
		first, err := in.ReadByte()
		if err != nil {
			return
		}
		n := 0
		for shift := 0; shift < 35; shift += 7 { // it complains of nothing
			c, err := in.ReadByte()
			if err != nil {
				return
			}
			n |= int(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
		body := make([]byte, min(n, 1<<20))
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if first>>4 == tConnect && len(body) > 6 && body[6] == v5 {
			version = v5
		}
		if _, err := nc.Write(stubAnswer(version, first, body)); err != nil {
			return
		}
	}
}

// stubAnswer is what acknowledges a packet, nil where nothing has to.
func stubAnswer(version, first byte, body []byte) []byte {
	var none []byte
	if version == v5 {
		none = block()
	}
	id := short(1)
	switch kind := first >> 4; kind {
	case tConnect:
		return frame(tConnack<<4, []byte{0, 0}, none)
	case tPublish:
		qos := first >> 1 & 3
		if _, rest, err := cutText(body); err == nil && len(rest) >= 2 {
			id = rest[:2]
		}
		switch qos {
		case 1:
			return frame(tPuback<<4, id)
		case 2:
			return frame(tPubrec<<4, id)
		}
	case tPubrec, tPubrel, tSubscribe, tUnsubscribe:
		if len(body) >= 2 {
			id = body[:2]
		}
		switch kind {
		case tPubrec:
			return frame(tPubrel<<4|2, id)
		case tPubrel:
			return frame(tPubcomp<<4, id)
		case tSubscribe:
			return frame(tSuback<<4, id, none, stubGrants(version, body))
		}
		codes := none
		if version == v5 {
			codes = make([]byte, len(stubGrants(version, body)))
			codes = join(none, codes)
		}
		return frame(tUnsuback<<4, id, codes)
	case tPingreq:
		return frame(tPingresp << 4)
	}
	return nil
}

// stubGrants is the QoS that each filter asks for.
func stubGrants(version byte, body []byte) (codes []byte) {
	_, rest, err := cut(body, 2)
	if err == nil && version == v5 {
		var n int
		if n, rest, err = cutVarint(rest); err == nil {
			_, rest, err = cut(rest, n)
		}
	}
	for err == nil && len(rest) > 0 {
		if _, rest, err = cutText(rest); err == nil && len(rest) > 0 {
			codes, rest = append(codes, rest[0]&3), rest[1:]
		}
	}
	return codes
}
