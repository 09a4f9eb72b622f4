package leaf

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// newPipeLink makes a link over a pipe, which has no buffer: what is written
// is read by the test at its own pace.
func newPipeLink(t *testing.T, mode string) (*link, net.Conn) {
	n := newNode(t, "HERE")
	m := New()
	m.services = n
	here, there := net.Pipe()
	rules, err := newRules(true, true, nil, side{}, side{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{in: here}
	return &link{
		m: m, conn: here, heard: h, in: bufio.NewReader(h), role: account.RoleSpoke, account: n.acc,
		peer: peer{headers: true}, rules: rules, mode: mode, log: slog.New(slog.DiscardHandler),
		out: newOutbound(8 << 20),
	}, there
}

// slowly reads at a kilobyte a second and answers each PING.
func slowly(t *testing.T, c net.Conn, plain io.Reader) *strings.Builder {
	var got strings.Builder
	buf := make([]byte, 1024)
	for {
		n, err := plain.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			return &got
		}
		<-time.After(time.Second) // of the bubble: no time passes
		if strings.Contains(string(buf[:n]), "PING\r\n") {
			if _, err := c.Write([]byte("PONG\r\n")); err != nil {
				return &got
			}
		}
		if strings.HasSuffix(got.String(), "END\r\n") {
			c.Close()
		}
	}
}

func TestLink_slowIsNotDead(t *testing.T) {
	for _, mode := range []string{config.CompressOff, compressUncompressed} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, there := newPipeLink(t, mode)
				// Several minutes at that pace, much more than a dead path is given.
				body := strings.Repeat("x", 300<<10)
				l.Deliver(nil, &wire.Msg{Subject: []byte("a"), Body: []byte(body)})
				l.Deliver(nil, &wire.Msg{Subject: []byte("a"), Body: []byte("END")})
				ended := make(chan *ending)
				go func() { ended <- l.run() }()
				in := io.Reader(there)
				if compresses(mode) {
					in = decompress(bufio.NewReader(&trickle{there}))
				}
				got := slowly(t, there, in).String()
				if end := <-ended; end.reason != wire.ReasonClientClosed && end.reason != wire.ReasonWriteError && end.reason != wire.ReasonReadError {
					t.Errorf("the link ended: %v %v", end.reason, end.err)
				}
				if !strings.Contains(got, body) || !strings.HasSuffix(got, "LMSG a 3\r\nEND\r\n") {
					t.Errorf("got %d bytes, ending in %.40q", len(got), got[max(0, len(got)-40):])
				}
			})
		})
	}
}

// trickle gives a kilobyte a second.
type trickle struct{ c net.Conn }

func (r *trickle) Read(p []byte) (int, error) {
	<-time.After(time.Second) // of the bubble
	return r.c.Read(p[:min(len(p), 1024)])
}

func TestLink_deadPathIsCutInTime(t *testing.T) {
	for _, pingMax := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			l, there := newPipeLink(t, config.CompressOff)
			l.m.services.Options().PingMax = pingMax
			go func() { _, _ = io.Copy(io.Discard, there) }() // takes everything, says nothing
			begin := time.Now()
			end := l.run()
			there.Close()
			if d := time.Since(begin); end.reason != wire.ReasonStale || d > deadPath+time.Second {
				t.Errorf("ping_max %d: ended after %v: %v", pingMax, d, end.reason)
			}
		})
	}
}

func TestLink_stuckWriterIsCut(t *testing.T) {
	for configured, limit := range map[time.Duration]time.Duration{0: deadPath, 3 * time.Second: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l, there := newPipeLink(t, config.CompressOff)
			l.m.services.Options().Leaf.WriteDeadline = configured
			l.Deliver(nil, &wire.Msg{Subject: []byte("a")})
			begin := time.Now()
			end := l.run() // nobody reads
			there.Close()
			if d := time.Since(begin); end.reason != wire.ReasonWriteError || d != limit {
				t.Errorf("write deadline %v: ended after %v: %v", configured, d, end.reason)
			}
		})
	}
}

// A block of compressed data that takes longer to arrive than a link may be
// silent is a sign of life all the same.
func TestHeard_partsOfBlocksCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		tk := newTalk(here)
		var block strings.Builder
		comp := newCompressor(&block, config.CompressFast)
		if err := comp.write([]byte("PING\r\n" + strings.Repeat("0123456789", 50))); err != nil {
			t.Fatal(err)
		}
		tk.compress(compressUncompressed)
		got := make(chan string)
		go func() {
			verb, _, _ := tk.line()
			got <- verb
		}()
		for i := range block.Len() {
			<-time.After(time.Minute) // of the bubble
			if _, err := there.Write([]byte{block.String()[i]}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if quiet := time.Since(core.Moment(tk.heard.at.Load())); quiet > time.Second {
				t.Fatalf("byte %d: nothing heard for %v", i, quiet)
			}
		}
		if verb := <-got; verb != "PING" {
			t.Errorf("got %q", verb)
		}
		here.Close()
	})
}

func TestOutbound_noRoomForLines(t *testing.T) {
	o := newOutbound(1000)
	line := func(b []byte) []byte { return append(b, strings.Repeat("s", 1000)+"\r\n"...) }
	n := 0
	for o.line(line) {
		if n++; n > 10_000 {
			t.Fatal("lines are not bounded")
		}
	}
	if n < 1000 {
		t.Errorf("room for %d lines only", n)
	}
	o.fail("", false)
	if !o.line(line) || o.waiting() != 0 {
		t.Error("a link that has ended is not slow, and keeps nothing")
	}
}

func TestOutbound_endings(t *testing.T) {
	fill := func() *outbound {
		o := newOutbound(1 << 20)
		o.message(&wire.Msg{Subject: []byte("a"), Body: []byte("b")}, true)
		return o
	}
	o := fill()
	o.fail("no", false)
	if urgent, batch := o.take(nil, nil, 9); string(urgent) != "-ERR 'no'\r\n" || len(batch) != 0 {
		t.Errorf("an error: %q %q", urgent, batch)
	}
	o = fill()
	o.fail("", true)
	if urgent, batch := o.take(nil, nil, 9); len(urgent) != 0 || len(batch) != 1 {
		t.Errorf("shutdown: %q %q", urgent, batch)
	}
	if o.message(&wire.Msg{Subject: []byte("a")}, true) {
		t.Error("a message was taken after the end")
	}
}

func TestOutbound_givesMemoryUp(t *testing.T) {
	o := newOutbound(1 << 30)
	m := &wire.Msg{Subject: []byte("a"), Body: make([]byte, chunkBytes)}
	for range 40 {
		o.message(m, true)
	}
	_, batch := o.take(nil, nil, 40)
	o.giveBack(batch)
	if len(o.mu.spare) != spareChunks {
		t.Errorf("%d spare chunks under load", len(o.mu.spare))
	}
	o.idle()
	if len(o.mu.spare) != 1 {
		t.Errorf("%d spare chunks when idle", len(o.mu.spare))
	}
}

// A message that takes long tells the account that it is on its way; small
// ones and silence do not, however slowly they follow each other.
func TestHeard_halfReadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		var told []time.Duration
		began := time.Now()
		h := &heard{in: here, slow: func(at time.Time) { told = append(told, at.Sub(began)) }}
		step := func(n int, partial, progress bool) {
			t.Helper()
			go there.Write(make([]byte, n))
			if _, err := h.Read(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			h.parsed(partial, progress)
			time.Sleep(600 * time.Millisecond)
		}
		for range 10 {
			step(10, false, true) // heartbeats
		}
		for range 10 {
			step(10, true, true) // each ends one and begins the next
		}
		if len(told) > 0 {
			t.Fatalf("told of small messages: %v", told)
		}
		for range 4 {
			step(10, true, false) // of one long message
		}
		step(10, false, true)
		if len(told) != 4 { // from a second after its beginning on
			t.Errorf("told at %v", told)
		}
		step(10, false, true)
		if len(told) != 4 {
			t.Errorf("told of what came behind it: %v", told)
		}
		here.Close()
		there.Close()
	})
}

// A link is known to end a moment before it has said why: the writer, who may
// look just then, must wait for the last words.
func TestLink_saysWhyItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, there := newPipeLink(t, config.CompressOff)
		written := make(chan struct{})
		go func() {
			defer close(written)
			l.write()
		}()
		synctest.Wait()
		l.closeBy.Store(core.Ticks(time.Now().Add(time.Minute)))
		l.end.Store(&ending{wire.ReasonProtocolViolation, nil})
		l.out.flush()
		synctest.Wait()
		l.out.fail("the last words", false)
		got, err := io.ReadAll(there)
		if string(got) != "-ERR 'the last words'\r\n" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		<-written
	})
}
