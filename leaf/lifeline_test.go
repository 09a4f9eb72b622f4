package leaf

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/frondmq/frond/core/account"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/core/wire"
)

// slowHub reads one side of a link at a kilobyte a second and answers its pings
// in order; the lifelines that are opened to it are read at once.
type slowHub struct {
	l     *link
	there net.Conn
	work  sync.WaitGroup
	begin time.Time

	// Of the hub: it reads the link at once; it does not answer the lifelines; it
	// ends them soon.
	fast, mute, full atomic.Bool

	mu struct {
		sync.Mutex
		whole string // what was read of the link
		opens int
		ended []time.Duration            // since begin
		beats map[string][]time.Duration // since begin, by subject
		text  string
	}
}

func newSlowHub(t *testing.T) *slowHub {
	h := &slowHub{begin: time.Now()}
	h.mu.beats = make(map[string][]time.Duration)
	h.l, h.there = newPipeLink(t, config.CompressOff)
	h.l.role, h.l.ponged = account.RoleHub, make(chan struct{}, 1)
	h.l.lifeline = newLifeline(h.l, h.dial)
	h.work.Go(func() { h.l.run() })
	h.work.Go(h.read)
	return h
}

func (h *slowHub) stop() {
	h.there.Close()
	h.work.Wait()
}

func (h *slowHub) read() {
	buf, seen := make([]byte, 1024), 0
	var all []byte
	for {
		n, err := h.there.Read(buf)
		if err != nil {
			return
		}
		all = append(all, buf[:n]...)
		h.mu.Lock()
		h.mu.whole = string(all)
		h.mu.Unlock()
		if !h.fast.Load() {
			<-time.After(time.Second * time.Duration(n) / 1024) // of the bubble
		}
		for pings := bytes.Count(all, []byte(pingLine)); seen < pings; seen++ {
			if _, err := h.there.Write([]byte("PONG\r\n")); err != nil {
				return
			}
		}
	}
}

func (h *slowHub) dial(context.Context) (*talk, error) {
	here, there := net.Pipe()
	h.mu.Lock()
	h.mu.opens++
	h.mu.Unlock()
	h.work.Go(func() {
		t := newTalk(there)
		if h.full.Load() {
			_ = t.out([]byte("-ERR 'maximum account active connections exceeded'\r\n"))
			there.Close()
		}
		for {
			verb, args, err := t.line()
			h.mu.Lock()
			if err != nil {
				h.mu.ended = append(h.mu.ended, time.Since(h.begin))
				h.mu.Unlock()
				return
			}
			switch verb {
			case "HMSG", "LMSG":
				subj, _, _ := strings.Cut(string(args), " ")
				h.mu.beats[subj] = append(h.mu.beats[subj], time.Since(h.begin))
			default:
				h.mu.text += verb + string(args) + "\n"
			}
			h.mu.Unlock()
			if verb == "PING" && !h.mute.Load() {
				_ = t.out([]byte("PONG\r\n"))
			}
		}
	})
	return newTalk(here), nil
}

func (h *slowHub) deliver(subj string, bytes int, feeds bool) {
	h.l.Deliver(nil, &wire.Msg{Subject: []byte(subj), Body: []byte(strings.Repeat("x", bytes)), Feeds: feeds})
	h.l.Flush()
}

func TestLifeline(t *testing.T) {
	t.Run("heartbeats while a message is long on its way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newSlowHub(t)
			h.deliver("$JS.S.one", 60<<10, true)
			<-time.After(5 * time.Second)
			// What stands behind it is waited for as well, a heartbeat too.
			h.l.Deliver(nil, &wire.Msg{Subject: []byte("$JS.S.two"), Header: bareHeartbeat, Feeds: true})
			h.deliver("other", 10, false)
			<-time.After(90 * time.Second)
			h.mu.Lock()
			for subj, least := range map[string]int{"$JS.S.one": 17, "$JS.S.two": 16} {
				beats := h.mu.beats[subj]
				if len(beats) < least || beats[0] > 10*time.Second {
					t.Fatalf("%s: %v", subj, beats)
				}
				for i := 1; i < len(beats); i++ {
					if d := beats[i] - beats[i-1]; d < lifelineEvery || d > 2*lifelineEvery {
						t.Errorf("%s: %v between two heartbeats", subj, d)
					}
				}
				if last := beats[len(beats)-1]; last < 55*time.Second || last > 70*time.Second {
					t.Errorf("%s: the last one after %v", subj, last)
				}
			}
			if h.mu.opens != 1 || len(h.mu.beats) != 2 || !strings.Contains(h.mu.text, "PING") {
				t.Errorf("opened %d times, %v, %s", h.mu.opens, h.mu.beats, h.mu.text)
			}
			h.soonEnded(t)
			if !strings.Contains(h.mu.whole, strings.Repeat("x", 60<<10)) {
				t.Error("the message did not arrive")
			}
			h.mu.Unlock()
			h.stop()
		})
	})
	t.Run("it ends soon, however much arrives quickly behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newSlowHub(t)
			h.deliver("$JS.S.one", 20<<10, true)
			<-time.After(10 * time.Second)
			h.fast.Store(true)
			for range 24 {
				h.deliver("$JS.S.one", 20<<10, true)
				<-time.After(500 * time.Millisecond)
			}
			h.mu.Lock()
			h.soonEnded(t)
			h.mu.Unlock()
			h.stop()
		})
	})
	t.Run("one that does not answer is replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newSlowHub(t)
			h.mute.Store(true)
			h.deliver("$JS.S.one", 60<<10, true)
			<-time.After(30 * time.Second)
			h.mu.Lock()
			if h.mu.opens != 2 || len(h.mu.ended) != 1 || h.mu.ended[0] > lifelineAfter+2*lifelineTimeout+2*lifelineEvery {
				t.Errorf("opened %d times, ended after %v", h.mu.opens, h.mu.ended)
			}
			h.mu.Unlock()
			h.stop()
		})
	})
	t.Run("none for what arrives soon, is small, or feeds nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newSlowHub(t)
			h.deliver("$JS.S.one", 100, true)
			<-time.After(10 * time.Second)
			h.deliver("plain", 40<<10, false)
			<-time.After(50 * time.Second)
			h.mu.Lock()
			if h.mu.opens != 0 {
				t.Errorf("opened %d times", h.mu.opens)
			}
			h.mu.Unlock()
			h.stop()
		})
	})
	t.Run("a link that ends does not wait for a heartbeat that is stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newSlowHub(t)
			here, there := net.Pipe() // nobody reads it
			defer there.Close()
			h.l.lifeline.dial = func(context.Context) (*talk, error) { return newTalk(here), nil }
			h.deliver("$JS.S.one", 60<<10, true)
			<-time.After(6 * time.Second)
			synctest.Wait()
			begin := time.Now()
			h.stop()
			if d := time.Since(begin); d > time.Second {
				t.Errorf("it took %v", d)
			}
		})
	})
	for _, c := range []struct {
		what string
		hub  func(*slowHub)
	}{
		{"can not be reached", func(h *slowHub) {
			h.l.lifeline.dial = func(context.Context) (*talk, error) {
				h.mu.Lock()
				h.mu.opens++
				h.mu.Unlock()
				return nil, errNo
			}
		}},
		{"ends each at once", func(h *slowHub) { h.full.Store(true) }},
	} {
		t.Run("a hub that takes no second connection is asked ever more rarely: it "+c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newSlowHub(t)
				c.hub(h)
				tries := func(more time.Duration) int {
					h.mu.Lock()
					before := h.mu.opens
					h.mu.Unlock()
					<-time.After(more)
					h.mu.Lock()
					defer h.mu.Unlock()
					return h.mu.opens - before
				}
				h.deliver("$JS.S.one", 400<<10, true) // for longer than all of this
				if n := tries(time.Minute); n < 3 || n > 4 {
					t.Errorf("%d attempts in the first minute", n)
				}
				if n := tries(3 * time.Minute); n < 2 || n > 3 {
					t.Errorf("%d attempts in the three minutes behind it", n)
				}
				h.stop()
			})
		})
	}
}

// soonEnded wants the one lifeline to have ended a moment after its last
// heartbeat. It is called with h.mu held.
func (h *slowHub) soonEnded(t *testing.T) {
	t.Helper()
	last := slices.Max(h.mu.beats["$JS.S.one"])
	if len(h.mu.ended) != 1 || h.mu.ended[0] > last+2*lifelineEvery+2*lifelineTick {
		t.Errorf("the last heartbeat after %v, ended after %v", last, h.mu.ended)
	}
}

// A hub takes a second login of one id and name for the first one come again:
// so the lifeline has its own, and the same each time.
func TestLifelineID(t *testing.T) {
	id := lifelineID("NSERVER", "A")
	if len(id) != 56 || id[0] != 'N' || id != lifelineID("NSERVER", "A") {
		t.Errorf("%q", id)
	}
	if id == lifelineID("NSERVER", "B") || id == lifelineID("NOTHER", "A") {
		t.Error("two links have one id")
	}
}

// Whatever overtakes it, the answer to the mark is known among the others.
func TestPending_mark(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	o := newTaker(t, 1<<30)
	var onTheLine []bool // pings in their order: is it the mark?
	out := false
	for i := range 20_000 {
		switch rnd.IntN(5) {
		case 0:
			o.overtake(pingLine)
		case 1:
			if !out {
				o.mark()
				out = true
			}
		case 2:
			o.message(&wire.Msg{Subject: []byte("a"), Body: make([]byte, rnd.IntN(6000))}, true)
		case 3:
			got := o.next(chunkBytes * (1 + rnd.IntN(3)))
			for i, c := range got.parts {
				for range strings.Count(c, pingLine) {
					onTheLine = append(onTheLine, i > 0 || !got.urgent)
				}
			}
		case 4:
			if len(onTheLine) == 0 {
				continue
			}
			want := onTheLine[0]
			onTheLine = onTheLine[1:]
			if got := o.pong(); got != want {
				t.Fatalf("step %d: the answer to the mark: %v, want %v", i, got, want)
			}
			out = out && !want
		}
	}
}

func TestLifeline_notForAFrondHub(t *testing.T) {
	hub := startHub(t, nil)
	edge := startSpoke(t, hub.addr(), nil)
	testkit.Eventually(t, "linked", func() bool { return len(edge.m.snapshot()) == 1 })
	if edge.m.snapshot()[0].lifeline != nil {
		t.Error("there is one")
	}
}
