package outbound

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// closing is a connection that does what an Owner has to.
type closing struct {
	conn net.Conn
	*owner
}

func (c closing) WriteFailed(err error) {
	c.owner.WriteFailed(err)
	c.conn.Close()
}

// When less may wait than before, those are cut off that read nothing, beginning
// with those for which most waits, until it is enough; who reads slowly stays, and
// so does one for whom little waits.
func TestPool_relieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &Kind{Pool: new(Pool), Limit: 1 << 20, Deadline: time.Hour, Piece: 4 << 10, Chunk: 4 << 10}
		k.Pool.Budget.SetLimit(1 << 20)
		add := func(bytes int) (*Buffer, *owner, net.Conn) {
			here, there := net.Pipe()
			o := newOwner()
			b := New(k, here, closing{here, o})
			if err := b.Append(make([]byte, bytes)); err != nil {
				t.Fatal(err)
			}
			b.Wake()
			return b, o, there
		}
		slow, slowOwner, slowPeer := add(300 << 10)
		much, muchOwner, _ := add(200 << 10)
		less, lessOwner, lessPeer := add(100 << 10)
		little, littleOwner, littlePeer := add(smallShare)
		var reading sync.WaitGroup
		reading.Go(func() {
			buf := make([]byte, 4<<10)
			for {
				if _, err := io.ReadFull(slowPeer, buf); err != nil {
					return
				}
				time.Sleep((stuckAfter - 2) * restAfter)
			}
		})
		time.Sleep(20 * time.Second)
		for _, o := range []*owner{slowOwner, muchOwner, lessOwner, littleOwner} {
			if err := o.err(); err != nil {
				t.Fatalf("%v while all fits", err)
			}
		}
		k.Pool.Budget.SetLimit(400 << 10)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := muchOwner.err(); !errors.Is(err, ErrSlowPending) || much.Pending() != 0 {
			t.Errorf("for whom most waits: %v, %d bytes wait", err, much.Pending())
		}
		if err := errors.Join(slowOwner.err(), lessOwner.err()); err != nil {
			t.Errorf("although it is enough: %v", err)
		}
		k.Pool.Budget.SetLimit(1 << 10)
		time.Sleep(2 * time.Second)
		if err := lessOwner.err(); !errors.Is(err, ErrSlowPending) {
			t.Errorf("who reads nothing: %v", err)
		}
		if err := slowOwner.err(); err != nil {
			t.Errorf("who reads slowly: %v", err)
		}
		if err := littleOwner.err(); err != nil {
			t.Errorf("for whom little waits: %v", err)
		}
		slowPeer.Close()
		lessPeer.Close()
		littlePeer.Close()
		reading.Wait()
		for _, b := range []*Buffer{slow, much, less, little} {
			b.End(0, nil)
			b.Wait()
		}
		if n := k.Pool.Budget.Held(); n != 0 {
			t.Errorf("%d bytes are held for nobody", n)
		}
	})
}

// A message that is a little larger than a chunk takes what it is while memory is
// tight; a small one takes a chunk that is used again, as ever.
func TestPool_takesLittleWhileItIsTight(t *testing.T) {
	p := new(Pool)
	p.Budget.SetLimit(100 << 10)
	if n := cap(p.get(20_000, 0, largeChunk)); n != bigChunk {
		t.Errorf("%d bytes for 20,000", n)
	}
	if n := cap(p.get(20_000, 0, largeChunk)); n != 20_000 {
		t.Errorf("%d bytes for 20,000 while it is tight", n)
	}
	if n := cap(p.get(100, 0, largeChunk)); n != smallChunk {
		t.Errorf("%d bytes for 100 while it is tight", n)
	}
}

// Who reads slowly is none who reads nothing, though all that waits for him goes
// out as one write.
func TestPool_relievesWhileALargeWriteGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &Kind{Pool: new(Pool), Limit: 1 << 20, Deadline: time.Hour}
		k.Pool.Budget.SetLimit(1 << 20)
		here, there := net.Pipe()
		o := newOwner()
		b := New(k, here, closing{here, o})
		const waiting = 800 << 10
		if err := b.Append(make([]byte, waiting)); err != nil {
			t.Fatal(err)
		}
		b.Wake()
		k.Pool.Budget.SetLimit(1 << 10)
		buf := make([]byte, 64<<10)
		for read := 0; read < waiting; {
			n, err := there.Read(buf)
			if read += n; err != nil {
				t.Fatalf("after %d bytes: %v, %v", read, err, o.err())
			}
			time.Sleep(3 * time.Second)
		}
		there.Close()
		b.End(0, nil)
		b.Wait()
	})
}

// A peer gets all bytes in their order, whatever it takes at a time, where memory
// has a limit and writes go out in pieces.
func TestBuffer_piecesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &Kind{Pool: new(Pool), Limit: 4 << 20, Deadline: 2 * time.Second, Retry: true}
		k.Pool.Budget.SetLimit(8 << 20)
		here, there := net.Pipe()
		b := New(k, here, closing{here, newOwner()})
		var want []byte
		for i, size := range []int{10, 300_000, 70_000, 20_000, 20_000, 20_000, 20_000, 65_536, 65_537, 3} {
			part := make([]byte, size)
			for j := range part {
				part[j] = byte(i + j*j>>3)
			}
			want = append(want, part...)
			if err := b.Append(part); err != nil {
				t.Fatal(err)
			}
		}
		b.Wake()
		got, buf := []byte(nil), make([]byte, 7_777)
		for len(got) < len(want) {
			n, err := there.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				t.Fatalf("after %d bytes: %v", len(got), err)
			}
			time.Sleep(900 * time.Millisecond)
		}
		if !bytes.Equal(got, want) {
			t.Error("other bytes came")
		}
		there.Close()
		b.End(0, nil)
		b.Wait()
		if n := k.Pool.Budget.Held(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}
