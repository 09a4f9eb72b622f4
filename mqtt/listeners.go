//go:build !lite

package mqtt

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/monitor"
	"github.com/frondmq/frond/core/transport"
)

// port is one that is open beside the port of the block, as long as options name its
// address.
type port struct {
	*transport.Listener
	key   string
	is    atomic.Pointer[listener] // nil when it is closed
	conns atomic.Int64
}

// ports are those that are open.
type ports struct {
	sync.Mutex
	open []*port // in the order of options

	// What Verify has made ready, by the goroutine that reloads.
	next  []*listener
	fresh []*port // of next, opened for it
}

// portKey tells ports apart that outlive a reload; -1 is another one for each name.
func portKey(l *config.MQTTListener) string {
	at := net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
	if l.Port < 0 {
		at += " " + l.ID()
	}
	return at
}

// verify makes listeners of options, and opens the ports that are not open yet; at
// the start, when running is false, Start does.
func (p *ports) verify(to *config.Options, running bool) error {
	p.abandon()
	var next []*listener
	for i := range to.MQTT.Listeners {
		o := &to.MQTT.Listeners[i]
		path := "mqtt.listeners[" + strconv.Itoa(i) + "]"
		who := &o.Auth
		if who.Empty() && who.Timeout == 0 {
			who = &to.MQTT.Auth
		}
		l, err := newListener(o.TLS, who)
		if err != nil {
			return &config.Error{Pos: to.Pos(path + ".tls"), Reason: err.Error()}
		}
		l.name, l.o = o.ID(), o
		next = append(next, l)
	}
	p.next = next
	if !running {
		return nil
	}
	if i, err := p.openNext(); err != nil {
		p.abandon()
		return &config.Error{Pos: to.Pos("mqtt.listeners[" + strconv.Itoa(i) + "]"), Reason: err.Error()}
	}
	return nil
}

// openNext opens what next needs. The error is about the i-th.
func (p *ports) openNext() (i int, err error) {
	p.Lock()
	defer p.Unlock()
	for i, l := range p.next {
		key := portKey(l.o)
		if at := slices.IndexFunc(p.open, func(x *port) bool { return x.key == key }); at >= 0 {
			l.port = p.open[at]
			continue
		}
		ln, err := transport.Listen("mqtt.listeners["+strconv.Itoa(i)+"]", l.o.Host, l.o.Port)
		if err != nil {
			return i, err
		}
		l.port = &port{Listener: ln, key: key}
		p.fresh = append(p.fresh, l.port)
	}
	return 0, nil
}

// abandon closes what was opened for nothing.
func (p *ports) abandon() {
	for _, x := range p.fresh {
		x.Close()
	}
	p.next, p.fresh = nil, nil
}

// commitPorts lets clients into the ports of the options that Verify has seen, and
// closes the others.
func (m *Module) commitPorts() {
	p := &m.ports
	p.Lock()
	was := p.open
	p.open = nil
	for _, l := range p.next {
		l.port.is.Store(l)
		p.open = append(p.open, l.port)
	}
	var gone []*port
	for _, x := range was {
		if !slices.Contains(p.open, x) {
			x.is.Store(nil)
			gone = append(gone, x)
		}
	}
	fresh := p.fresh
	p.next, p.fresh = nil, nil
	p.Unlock()
	for _, x := range gone {
		x.Close()
		m.log.Info("Closed the MQTT listener on " + x.Announced())
	}
	for _, x := range fresh {
		m.log.Info(fmt.Sprintf("Listening for MQTT clients on %s, listener %q", x.is.Load().announced(x.Listener), x.is.Load().name))
		x.Run(m.log, "mqtt", func(nc net.Conn) {
			if l := x.is.Load(); l != nil {
				m.accept(nc, l, nil)
			} else { // just closed: without a listener it would be let in as one of the block
				nc.Close()
			}
		})
	}
}

// close closes all, and waits for those who accept.
func (p *ports) close() {
	p.Lock()
	open := p.open
	p.Unlock()
	for _, x := range open {
		x.Close()
	}
	p.abandon()
}

// enter counts a client in, unless there are too many of the port.
func (l *listener) enter() bool {
	if l == nil || l.port == nil {
		return true
	}
	if n := l.port.conns.Add(1); l.o.MaxConns > 0 && n > int64(l.o.MaxConns) {
		l.port.conns.Add(-1)
		return false
	}
	return true
}

func (l *listener) leave() {
	if l != nil && l.port != nil {
		l.port.conns.Add(-1)
	}
}

// stands reports whether a client that came in by l could do so still, as far as the
// port goes.
func (l *listener) stands() bool {
	if l == nil || l.port == nil {
		return true
	}
	now := l.port.is.Load()
	return now != nil && now.name == l.name && (now.tls == nil) == (l.tls == nil)
}

// surplus are the newest clients of ports that have more than they may now.
func surplus(all []*conn) (over []*conn) {
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(b.id, a.id) })
	left := make(map[*port]int64)
	for _, c := range all {
		if c.at == nil || c.at.port == nil {
			continue
		}
		p := c.at.port
		now := p.is.Load()
		if now == nil || now.o.MaxConns == 0 {
			continue
		}
		if _, seen := left[p]; !seen {
			left[p] = p.conns.Load() - int64(now.o.MaxConns)
		}
		if left[p] > 0 {
			left[p]--
			over = append(over, c)
		}
	}
	return over
}

// describe are the listeners as monitoring shows them.
func (p *ports) describe() (all []monitor.MQTTListenerVarz) {
	p.Lock()
	defer p.Unlock()
	for _, x := range p.open {
		l := x.is.Load()
		all = append(all, monitor.MQTTListenerVarz{
			Name: l.name, Host: l.o.Host, Port: x.Port(), TLSRequired: l.tls != nil, OwnUsers: !l.o.Auth.Empty(),
			NoAuthUser: l.o.NoAuthUser, AuthTimeout: l.auth.Seconds(), Connections: int(x.conns.Load()), MaxConns: l.o.MaxConns,
		})
	}
	return all
}
