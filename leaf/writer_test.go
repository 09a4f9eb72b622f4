package leaf

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/outbound"
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
	l := &link{
		m: m, conn: here, heard: h, in: bufio.NewReader(h), role: account.RoleSpoke, account: n.Acc,
		peer: peer{headers: true}, rules: rules, mode: mode, log: slog.New(slog.DiscardHandler),
	}
	n.Opts.MaxPending = 8 << 20
	l.open()
	return l, there
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
			l.open()
			l.Deliver(nil, &wire.Msg{Subject: []byte("a")})
			l.Flush()
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

// taker is a link whose batches the test takes when it wants them.
type taker struct {
	*pending
	piece   int
	batches chan taken
	wrote   chan struct{}
	ended   chan struct{} // closed when the test takes no more
	urgent  bool          // the writer's: the batch at hand begins with urgent lines
}

type taken struct {
	urgent bool
	parts  []string
}

func newTaker(t *testing.T, limit int64) *taker {
	here, there := net.Pipe()
	k := &taker{piece: 1, batches: make(chan taken), wrote: make(chan struct{}), ended: make(chan struct{})}
	k.pending = newPending(new(outbound.Pool), limit, here, k)
	t.Cleanup(func() {
		close(k.ended)
		k.fail("", false)
		k.buf.Wait()
		here.Close()
		there.Close()
	})
	return k
}

func (k *taker) Taking(upTo int64) {
	k.urgent = k.urgentPings > 0
	k.takingLocked(upTo)
}

func (k *taker) Piece() int        { return k.piece }
func (k *taker) WriteFailed(error) {}

func (k *taker) Write(batch [][]byte) error {
	got := taken{urgent: k.urgent}
	for _, b := range batch {
		got.parts = append(got.parts, string(b))
	}
	select {
	case k.batches <- got:
	case <-k.ended:
	}
	return nil
}

func (k *taker) Wrote() {
	select {
	case k.wrote <- struct{}{}:
	case <-k.ended:
	}
}

// next is what is written next: chunks of about n bytes in all, none when nothing
// waits.
func (k *taker) next(n int) taken {
	k.buf.Lock()
	k.piece = n
	none := !k.buf.WritingLocked() && !k.buf.WaitsLocked()
	k.buf.Unlock()
	if none {
		return taken{}
	}
	k.flush()
	got := <-k.batches
	<-k.wrote
	return got
}

func TestPending_noRoomForLines(t *testing.T) {
	o := newTaker(t, 1000)
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

func TestPending_endings(t *testing.T) {
	fill := func() *taker {
		o := newTaker(t, 1<<20)
		o.message(&wire.Msg{Subject: []byte("a"), Body: []byte("b")}, true)
		return o
	}
	o := fill()
	o.fail("no", false)
	if got := o.next(1 << 20).parts; !slices.Equal(got, []string{"-ERR 'no'\r\n"}) {
		t.Errorf("an error: %q", got)
	}
	o = fill()
	o.fail("", true)
	if o.message(&wire.Msg{Subject: []byte("a")}, true) {
		t.Error("a message was taken after the end")
	}
	if got := o.next(1 << 20).parts; !slices.Equal(got, []string{"LMSG a 1\r\nb\r\n"}) {
		t.Errorf("shutdown: %q", got)
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

// The last words of a link are written, and nothing behind them.
func TestLink_saysWhyItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, there := newPipeLink(t, config.CompressOff)
		ended := make(chan *ending)
		go func() { ended <- l.run() }()
		synctest.Wait()
		l.fail(wire.ReasonProtocolViolation, &wire.Error{Text: "the last words"})
		l.out.overtake(pingLine)
		got, err := io.ReadAll(there)
		if !strings.HasSuffix(string(got), "-ERR 'the last words'\r\n") || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		<-ended
	})
}

// While all links together have too much waiting, a link that has much of it
// loses messages; one that has little does not.
func TestPending_budget(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	var pool outbound.Pool
	pool.Budget.SetLimit(1 << 20)
	much, little := newPending(&pool, 64<<20, here, nil), newPending(&pool, 64<<20, there, nil)
	m := &wire.Msg{Subject: []byte("a"), Body: make([]byte, 10_000)}
	n := 0
	for ; much.message(m, true); n++ {
		if n > 1000 {
			t.Fatalf("%d bytes wait of %d that may", pool.Budget.Held(), pool.Budget.Limit())
		}
	}
	if n < 50 || much.droppedMsgs() != 1 {
		t.Errorf("%d messages wait, %d were dropped", n, much.droppedMsgs())
	}
	if !little.message(m, true) {
		t.Error("a link that has nothing waiting loses a message")
	}
}

// A write that ends as the link does sends the ping that waits for it.
func TestLink_noTimerAfterTheEnd(t *testing.T) {
	l, there := newPipeLink(t, config.CompressOff)
	defer there.Close()
	l.pingTimer = time.AfterFunc(time.Hour, l.pingTick)
	l.pingWaits.Store(true)
	l.fail(wire.ReasonKicked, nil)
	l.pingTimer.Stop() // as run does
	l.Wrote()
	if l.pingTimer.Stop() {
		t.Error("a link that has ended asks for signs of life")
	}
}
