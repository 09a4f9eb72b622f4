package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// exactClient is a client with QoS 2 that does all that MQTT 3.1.1 asks of one: what it
// must remember is in a file before it says the next word. It comes back until it is
// killed.
type exactClient struct {
	t     *testing.T
	addr  string
	name  string
	state *os.File
	lines []string // of a former life
	nc    *keptConn
}

func newExactClient(t *testing.T, addr, name, file string) *exactClient {
	c := &exactClient{t: t, addr: addr, name: name, lines: exactLines(t, file)}
	c.state = must[*os.File](t)(os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	return c
}

func (c *exactClient) note(format string, args ...any) { fmt.Fprintf(c.state, format+"\n", args...) }

// connect comes back, until it is let in.
func (c *exactClient) connect() {
	for {
		if c.nc != nil {
			c.nc.Close()
		}
		var err error
		if c.nc, err = exactDial(c.addr, c.name); err == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

func exactDial(addr, name string) (*keptConn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &keptConn{nc, bufio.NewReader(nc)}
	payload := "\x00\x04MQTT\x04\x00\x00\x00" + text16(name)
	if _, err = fmt.Fprintf(c, "\x10%c%s", len(payload), payload); err == nil {
		_, _, err = c.packet()
	}
	if err != nil {
		nc.Close()
	}
	return c, err
}

// packet reads any packet.
func (c *keptConn) packet() (first byte, body []byte, err error) {
	if first, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, shift := 0, 0
	for b := byte(0x80); b >= 0x80; shift += 7 {
		if b, err = c.in.ReadByte(); err != nil {
			return 0, nil, err
		}
		n |= int(b&0x7f) << shift
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return first, body, err
}

func (c *exactClient) say(first byte, id int) {
	_, _ = c.nc.Write([]byte{first, 2, byte(id >> 8), byte(id)})
}

// read takes messages: "M ID TEXT" is one that came, "L ID" the end of its identifier.
func (c *exactClient) read(filter string) {
	held := make(map[int]bool)
	for _, line := range c.lines {
		var kind string
		var id int
		if n, _ := fmt.Sscan(line, &kind, &id); n == 2 {
			held[id] = kind == "M"
		}
	}
	body := "\x00\x01" + text16(filter) + "\x02"
	for c.connect(); ; c.connect() {
		if len(c.lines) < 2 {
			_, _ = fmt.Fprintf(c.nc, "\x82%c%s", len(body), body)
		}
		for {
			first, b, err := c.nc.packet()
			if err != nil {
				break
			}
			switch first >> 4 {
			case 3:
				at := 2 + int(b[0])<<8 + int(b[1])
				id, text := int(b[at])<<8+int(b[at+1]), string(b[at+2:])
				if !held[id] {
					held[id] = true
					c.note("M %d %s", id, text)
				}
				c.say(0x50, id)
			case 6:
				id := int(b[0])<<8 + int(b[1])
				if held[id] {
					held[id] = false
					c.note("L %d", id)
				}
				c.say(0x70, id)
			case 9:
				fmt.Println("done")
			}
		}
	}
}

// publish sends messages up to a number that comes by stdin: "P ID TEXT" is one that
// is to be sent, "R ID" one that the server has, "C ID" the end.
func (c *exactClient) publish() {
	p := &exactState{of: make(map[int]string), released: make(map[int]bool)}
	for _, line := range c.lines {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		var id int
		_, _ = fmt.Sscan(f[1], &id)
		p.step(f[0], id, append(f, "")[2])
	}
	goal, asked := 0, make(chan int)
	go func() {
		for n := 0; ; {
			if _, err := fmt.Scan(&n); err != nil {
				return
			}
			asked <- n
		}
	}()
	for {
		c.connect()
		for _, id := range p.order {
			c.sendAgain(p, id)
		}
		packets, over := make(chan [2]int), make(chan struct{})
		nc := c.nc
		go func() {
			defer close(packets)
			for {
				first, b, err := nc.packet()
				if err != nil {
					return
				}
				select {
				case packets <- [2]int{int(first >> 4), int(b[0])<<8 + int(b[1])}:
				case <-over:
					return
				}
			}
		}()
		for on := true; on; {
			for p.next < goal && len(p.order) < 50 {
				c.begin(p)
			}
			select {
			case goal = <-asked:
			case k, ok := <-packets:
				if on = ok; ok {
					c.handle(p, k[0], k[1])
				}
			}
			if p.next == goal && goal > 0 && p.told != goal {
				p.told = goal
				fmt.Println("done")
			}
		}
		close(over)
	}
}

// exactState is what a publisher must remember.
type exactState struct {
	of       map[int]string
	released map[int]bool
	order    []int
	next     int
	told     int
	id       int
}

func (p *exactState) step(kind string, id int, text string) {
	switch kind {
	case "P":
		p.of[id] = text
		p.order = append(p.order, id)
		p.next++
		p.id = id
	case "R":
		p.released[id] = true
	case "C":
		delete(p.of, id)
		delete(p.released, id)
		for i, o := range p.order {
			if o == id {
				p.order = append(p.order[:i:i], p.order[i+1:]...)
				break
			}
		}
	}
}

// begin is a new message; few identifiers are used, so that all are used again soon.
func (c *exactClient) begin(p *exactState) {
	id := p.id
	for {
		if id = id%100 + 1; p.of[id] == "" {
			break
		}
	}
	text := fmt.Sprintf("%06d", p.next)
	c.note("P %d %s", id, text)
	p.step("P", id, text)
	c.sendMessage(0x34, id, text)
}

func (c *exactClient) sendMessage(first byte, id int, text string) {
	body := text16("plant/line"+text[5:]) + string([]byte{byte(id >> 8), byte(id)}) + text
	_, _ = fmt.Fprintf(c.nc, "%s%c%s", string([]byte{first}), len(body), body)
}

func (c *exactClient) sendAgain(p *exactState, id int) {
	if p.released[id] {
		c.say(0x62, id)
		return
	}
	c.sendMessage(0x3c, id, p.of[id])
}

func (c *exactClient) handle(p *exactState, kind, id int) {
	switch {
	case kind == 5 && p.of[id] != "":
		if !p.released[id] {
			c.note("R %d", id)
			p.step("R", id, "")
		}
		c.say(0x62, id)
	case kind == 7 && p.released[id]:
		c.note("C %d", id)
		p.step("C", id, "")
	}
}
