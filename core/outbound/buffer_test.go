package outbound

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// owner is the connection of a test.
type owner struct{ failed chan error }

func newOwner() *owner { return &owner{make(chan error, 9)} }

func (o *owner) WriteFailed(err error) { o.failed <- err }

func (o *owner) err() error {
	select {
	case err := <-o.failed:
		return err
	default:
		return nil
	}
}

func kind(limit int64) *Kind { return &Kind{Pool: new(Pool), Limit: limit, Deadline: time.Minute} }

// writing reports whether there is a writer.
func (b *Buffer) writing() bool {
	b.Lock()
	defer b.Unlock()
	return b.mu.writer != nil
}

// tcpPair is both ends of a connection over the loopback interface.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// There is a writer while there is something to write, and for a little while
// behind that; the next message has one again.
func TestBuffer_writerComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		k := kind(1 << 20)
		b := New(k, here, newOwner())
		buf := make([]byte, 9)
		for range 3 {
			if b.Append([]byte("ab")) != nil {
				t.Fatal("refused")
			}
			synctest.Wait()
			if b.writing() {
				t.Fatal("a writer before anybody asked for one")
			}
			b.Wake()
			for range 4 { // busier than the pool's eye
				if n, err := there.Read(buf); n != 2 || err != nil {
					t.Fatalf("%q, %v", buf[:n], err)
				}
				time.Sleep(restAfter * 3 / 4)
				b.Append([]byte("cd"))
				b.Wake()
			}
			there.Read(buf)
			synctest.Wait()
			if !b.writing() {
				t.Fatal("the writer went at once")
			}
			time.Sleep(2*restAfter + 1)
			synctest.Wait()
			if b.writing() || k.Pool.mu.timer != nil {
				t.Fatal("the writer stays")
			}
		}
		b.End(time.Second, []byte("bye"))
		n, _ := there.Read(buf)
		b.Wait()
		if string(buf[:n]) != "bye" || b.writing() || k.Pool.Budget.Held() != 0 {
			t.Errorf("last %q; %d bytes are held", buf[:n], k.Pool.Budget.Held())
		}
	})
}

// Who waits behind End waits for a writer that has only just begun, and for
// what it does about an error.
func TestBuffer_waitsForTheWriter(t *testing.T) {
	for _, reads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			o := newOwner()
			b := New(kind(1<<20), here, o)
			b.Append(make([]byte, 1000))
			b.Wake()
			b.End(time.Second, nil)
			if reads {
				go io.Copy(io.Discard, there)
			}
			begin := time.Now()
			b.Wait()
			took, err := time.Since(begin), o.err()
			if b.writing() || reads != (err == nil) || reads != (took == 0) || !reads && took != time.Second {
				t.Errorf("reads %v: %v after %v", reads, err, took)
			}
			if b.Append([]byte("x")) == nil {
				t.Error("something was taken after the end")
			}
			if held := b.kind.Pool.Budget.Held(); held != 0 {
				t.Errorf("%d bytes are held for nobody", held)
			}
			b.Wait() // again
			there.Close()
		})
	}
}

// Messages, calls for the writer, its end and the end of the connection at the
// same time: everything that was taken before the end arrives, and nobody stays.
func TestBuffer_endsWhileOthersWrite(t *testing.T) {
	for range 50 {
		ours, theirs := tcpPair(t)
		k := kind(1 << 20)
		b := New(k, ours, newOwner())
		var work sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for w := range 4 {
			work.Go(func() {
				for i := range 200 {
					mu.Lock()
					err := b.Append([]byte("x"))
					if err == nil {
						taken++
					}
					mu.Unlock()
					if err != nil {
						return
					}
					if (i+w)%2 == 0 {
						b.WriteNow()
					} else {
						b.Wake()
					}
				}
			})
		}
		work.Go(k.Pool.sweep)
		got := make(chan int)
		go func() {
			all, _ := io.ReadAll(theirs)
			got <- len(all)
		}()
		b.End(time.Minute, nil)
		b.Wait()
		work.Wait()
		b.Wait()
		ours.Close()
		if n := <-got; n != taken {
			t.Fatalf("%d of %d bytes arrived", n, taken)
		}
		if b.writing() || k.Pool.Budget.Held() != 0 || k.Pool.mu.writers != nil {
			t.Fatalf("%d bytes are held, %d writers are there", k.Pool.Budget.Held(), len(k.Pool.mu.writers))
		}
	}
}

// A peer that is too slow is cut off at once, and nothing is kept for it, with a
// writer or without.
func TestBuffer_cutsOffAtTheLimit(t *testing.T) {
	for _, begun := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			k := kind(100)
			b := New(k, here, newOwner())
			b.Append(make([]byte, 90))
			if begun {
				b.Wake()
				synctest.Wait()
			}
			gate := b.Gate()
			if err := b.Append(make([]byte, 11)); err != ErrSlowPending {
				t.Fatal(err)
			}
			<-gate
			here.Close() // as the caller does
			b.End(time.Second, nil)
			b.Wait()
			if err := b.Append(nil); err != ErrSlowPending || k.Pool.Budget.Held() != 0 {
				t.Errorf("begun %v: %v, %d bytes are held", begun, err, k.Pool.Budget.Held())
			}
			there.Close()
		})
	}
}

// slowConn takes so many bytes a write and then lets its deadline pass.
type slowConn struct {
	net.Conn
	takes []int
	got   []byte
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(b []byte) (int, error) {
	n := len(b)
	if len(c.takes) > 0 {
		n, c.takes = min(n, c.takes[0]), c.takes[1:]
	}
	c.got = append(c.got, b[:n]...)
	if n < len(b) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

func TestBuffer_writeTimeout(t *testing.T) {
	for _, test := range []struct {
		name  string
		retry bool
		takes []int
		got   string
		err   error
	}{
		{"closes", false, []int{3}, "abc", ErrSlowDeadline},
		{"goes on as long as something is taken", true, []int{3, 1, 1}, "abcdefgh", nil},
		{"closes when nothing is", true, []int{3, 0}, "abc", ErrSlowDeadline},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &slowConn{takes: test.takes}
				k := kind(1 << 20)
				k.Retry = test.retry
				o := newOwner()
				out := New(k, c, o)
				if err := out.Append([]byte("abcdefgh")); err != nil {
					t.Fatal(err)
				}
				out.Wake()
				synctest.Wait()
				if err := o.err(); err != test.err || string(c.got) != test.got {
					t.Errorf("wrote %q, %v; want %q, %v", c.got, err, test.got, test.err)
				}
				out.End(0, nil)
				out.Wait()
			})
		})
	}
}

// What WriteNow writes lets publishers on too.
func TestBuffer_gateOpensWithTheNextWrite(t *testing.T) {
	ours, _ := tcpPair(t)
	out := New(kind(100), ours, newOwner())
	if out.raw == nil {
		t.Skip("nothing is written at once here")
	}
	if err := out.Append([]byte(strings.Repeat("x", 90))); err != nil {
		t.Fatal(err)
	}
	gate := out.Gate()
	if gate == nil {
		t.Fatal("nearly full, but the gate is open")
	}
	out.WriteNow()
	select {
	case <-gate:
	default:
		t.Error("the gate is still closed")
	}
	if out.Gate() != nil {
		t.Error("there is a gate")
	}
}

// The deadline of the last write does not end what is written at once much
// later.
func TestBuffer_deadlineGoesWithTheWriter(t *testing.T) {
	ours, theirs := tcpPair(t)
	k := kind(1 << 20)
	k.Deadline = time.Nanosecond
	b := New(k, ours, newOwner())
	b.Append([]byte("a"))
	b.Lock()
	b.startLocked()
	w := b.mu.writer
	b.Unlock()
	w.deadlineAt = time.Unix(1, 0) // it has written, and its time is over
	ours.SetWriteDeadline(w.deadlineAt)
	for b.writing() {
		w.rest()
	}
	b.WriteNow()
	if b.raw != nil && b.writing() {
		t.Fatal("a writer had to be called")
	}
	if n, err := theirs.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	b.End(time.Second, nil)
	b.Wait()
}

// A queue gives what was put in, takes hardly more memory than that, and gives
// all of it back.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		k := kind(0)
		k.Chunk = largeChunk
		p, q := NewQueue(k), NewQueue(k)
		var in, out []byte
		for range 50 {
			switch rng.IntN(4) {
			case 0, 1:
				b := make([]byte, rng.IntN(1+rng.IntN(50_000)))
				for i := 0; i < len(b); i += 1 + i%100 {
					b[i] = byte(rng.Uint32())
				}
				p.Write(b)
				in = append(in, b...)
			case 2:
				p.Move(&q, rng.IntN(p.size+1))
			default:
				b := make([]byte, rng.IntN(q.size+1))
				q.Read(b)
				out = append(out, b...)
			}
			if over := k.Pool.Budget.Held() - int64(p.size+q.size); over > 4*largeChunk {
				t.Fatalf("%d bytes take %d more", p.size+q.size, over)
			}
		}
		p.Move(&q, p.size)
		rest := make([]byte, q.size)
		q.Read(rest)
		if !bytes.Equal(append(out, rest...), in) {
			t.Fatal("what came out is not what went in")
		}
		if k.Pool.Budget.Held() != 0 {
			t.Fatalf("%d bytes were not given back", k.Pool.Budget.Held())
		}
	}
}

func TestBudget(t *testing.T) {
	b := new(Budget)
	b.SetLimit(1000)
	for _, c := range []struct {
		held          int
		little, much  int64
		little2, full bool
	}{
		{1000, smallShare + 1, fairShare + 1, false, false},
		{1001, smallShare + 1, fairShare + 1, false, true},
		{1501, smallShare, smallShare + 1, false, true},
	} {
		b.Take(c.held)
		if b.Full(c.little) != c.little2 || b.Full(c.much) != c.full {
			t.Errorf("%d held: %v for %d, %v for %d", c.held, b.Full(c.little), c.little, b.Full(c.much), c.much)
		}
		b.Give(c.held)
	}
	b.Take(1 << 40)
	if b.Full(0) || new(Budget).Full(1<<40) {
		t.Error("a client with nothing waiting, or no budget")
	}
}

// Who waits until little is kept for the peer hears of it then, and not before;
// bytes that wait elsewhere count.
func TestBuffer_low(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		b := New(kind(1<<20), here, newOwner())
		low := func(n int) <-chan struct{} {
			b.Lock()
			defer b.Unlock()
			return b.LowLocked(n)
		}
		closed := func(c <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		aside := func(n int) {
			b.Lock()
			b.AsideLocked(n)
			b.Unlock()
		}
		if b.Append([]byte("0123456789")) != nil {
			t.Fatal("refused")
		}
		if low(10) != nil {
			t.Error("10 bytes are more than 10")
		}
		c := low(9)
		if c == nil || closed(c) {
			t.Fatal("10 bytes are no more than 9")
		}
		aside(5)
		b.Wake()
		buf := make([]byte, 10)
		if _, err := io.ReadFull(there, buf[:9]); err != nil || closed(c) {
			t.Fatalf("closed while a byte is on its way, %v", err)
		}
		if _, err := io.ReadFull(there, buf[9:]); err != nil || !closed(c) {
			t.Fatalf("not closed with 5 bytes elsewhere, %v", err)
		}
		c = low(0)
		if aside(-4); closed(c) {
			t.Error("closed with one byte elsewhere")
		}
		if aside(-1); !closed(c) || low(0) != nil {
			t.Error("not closed with none")
		}
		// Who asks with another n has all wait for that.
		aside(9)
		first, second := low(0), low(8)
		if aside(-1); !closed(first) || !closed(second) {
			t.Error("not closed at the newer mark")
		}
		aside(-8)
		b.End(time.Second, nil)
		b.Wait()
		there.Close()
	})
}

// A write that is under way when the end comes has no longer than that gives it, of
// however long it would have had.
func TestBuffer_endShortensTheWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe() // whose peer reads nothing
		defer there.Close()
		k := kind(1000)
		k.Deadline = time.Hour
		b := New(k, here, newOwner())
		if err := b.Append([]byte("nobody reads this")); err != nil {
			t.Fatal(err)
		}
		b.Wake()
		synctest.Wait()
		began := time.Now()
		b.End(2*time.Second, nil)
		b.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the end took %v", took)
		}
		here.Close()
	})
}

// Who is cut off holds no publisher up, also while a write to it is under way.
func TestBuffer_cutOffOpensTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe() // whose peer reads nothing
		b := New(kind(100), here, newOwner())
		if err := b.Append(make([]byte, 90)); err != nil {
			t.Fatal(err)
		}
		b.Wake()
		synctest.Wait()
		gate := b.Gate()
		if gate == nil {
			t.Fatal("nearly full, but the gate is open")
		}
		if err := b.Append(make([]byte, 90)); err != ErrSlowPending {
			t.Errorf("above the limit: %v", err)
		}
		select {
		case <-gate:
		default:
			t.Error("the gate is still closed")
		}
		there.Close()
		b.End(0, nil)
		b.Wait()
		here.Close()
	})
}

// during is a socket to which something happens while it is written to.
type during struct{ happens func() }

func (during) Control(func(uintptr)) error      { return nil }
func (during) Read(func(uintptr) bool) error    { return nil }
func (d during) Write(func(uintptr) bool) error { d.happens(); return nil }

// Nothing is kept for one who is cut off while somebody writes to it at once.
func TestBuffer_cutOffWhileWrittenAtOnce(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	k := kind(1000)
	b := New(k, here, newOwner())
	b.raw = during{func() {
		if err := b.Append(make([]byte, 500)); err != nil {
			t.Error(err)
		}
		if err := b.Append(make([]byte, 1000)); err != ErrSlowPending {
			t.Errorf("above the limit: %v", err)
		}
	}}
	if err := b.Append([]byte("a")); err != nil {
		t.Fatal(err)
	}
	b.WriteNow()
	if held := k.Pool.Budget.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	b.End(0, nil)
	b.Wait()
}
