package mqttconf

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Target is a server under examination.
type Target struct {
	Addr string
	// Denied is a topic to which nobody here may publish or subscribe, "" for none.
	// A login as "stranger" has to be refused by every target.
	Denied string
	// Patience is how long an answer may take, 0 for what a busy machine may need.
	Patience time.Duration

	sources, exams atomic.Uint32
}

// busy is how long an answer may take on a busy machine.
const busy = 20 * time.Second

func (x *Exam) patience() time.Duration {
	if p := x.target.Patience; p > 0 {
		return p
	}
	return busy
}

// Exam is one check on one server, with the version of the protocol that its
// connections speak. A check returns when all is as it should be, and calls Differ
// otherwise, which does not return.
type Exam struct {
	target  *Target
	version byte
	n       uint32
	names   atomic.Uint32
	ctx     context.Context

	mu    sync.Mutex
	conns []net.Conn
}

// verdict ends a check before its end.
type verdict Outcome

// Differ ends the check: the server does otherwise.
func (x *Exam) Differ(format string, args ...any) {
	panic(verdict{wordDiffers, fmt.Sprintf(format, args...)})
}

// NoCase ends the check: the statement has a condition, and the server says that it
// is not met.
func (x *Exam) NoCase(format string, args ...any) {
	panic(verdict{wordNoCase, fmt.Sprintf(format, args...)})
}

// examine runs one check.
func examine(ctx context.Context, target *Target, version byte, check func(*Exam)) (o Outcome) {
	x := &Exam{target: target, version: version, n: target.exams.Add(1), ctx: ctx}
	defer x.hangUp()
	defer func() {
		if r := recover(); r != nil {
			v, is := r.(verdict)
			if !is {
				panic(r)
			}
			o = Outcome(v)
		}
	}()
	check(x)
	return Outcome{Word: wordPass}
}

func (x *Exam) hangUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.Close()
	}
}

// dial opens a connection, each from another address where the system lets us: a
// server may be slow with an address that it has refused before.
func (x *Exam) dial() *Client {
	d := net.Dialer{Timeout: busy}
	if runtime.GOOS == "linux" {
		n := x.target.sources.Add(1)
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))}
	}
	nc, err := d.DialContext(x.ctx, "tcp", x.target.Addr)
	if err != nil {
		x.Differ("no connection: %v", err)
	}
	x.mu.Lock()
	x.conns = append(x.conns, nc)
	x.mu.Unlock()
	return newClient(x, nc)
}

// topic is a name below one that only this check has.
func (x *Exam) topic(s string) string { return fmt.Sprintf("conf/%d/%d/%s", x.version, x.n, s) }

// name is a client identifier that only this check has.
func (x *Exam) name() string { return fmt.Sprintf("c%dx%dx%d", x.version, x.n, x.names.Add(1)) }

// until repeats f until it reports true, and differs when it never does. It is for
// what comes with time only.
func (x *Exam) until(what string, f func() bool) {
	ctx, cancel := context.WithTimeout(x.ctx, x.patience())
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			x.Differ("%s", what)
		}
	}
}

// pass waits until so much time has passed.
func (x *Exam) pass(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.ctx.Done():
	}
}
