package jsclienttest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// window is a Window that remembers what it was told.
type window struct {
	*jsclient.Window
	h *harness

	mu   sync.Mutex
	told map[uint64]jsclient.Outcome
}

func (h *harness) window(o jsclient.WindowOptions) *window {
	h.Helper()
	w := &window{h: h, told: map[uint64]jsclient.Outcome{}}
	o.Told = func(tag uint64, x jsclient.Outcome) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, twice := w.told[tag]; twice {
			h.Errorf("message %d is told twice", tag)
		}
		w.told[tag] = x
	}
	var err error
	w.Window, err = h.c.NewWindow(o)
	h.ok(err)
	h.Cleanup(w.Close)
	return w
}

func (w *window) outcomes() map[uint64]jsclient.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.told)
}

var publishCases = []testCase{
	{name: "a receipt tells where the message is", run: func(h *harness) {
		h.stream()
		base := h.base()
		for n := uint64(1); n <= 3; n++ {
			if ack := h.put("x", "hi"); ack.Seq != base+n || ack.Stream != h.name || ack.Duplicate {
				h.Errorf("message %d: %+v", n, ack)
			}
		}
	}},
	{name: "a message id is taken once", run: func(h *harness) {
		h.stream()
		m := &jsclient.Outgoing{Subject: h.name + ".x", MsgID: "one"}
		first, err := h.c.Publish(h.ctx, m)
		h.ok(err)
		again, err := h.c.Publish(h.ctx, m)
		h.ok(err)
		if first.Duplicate || !again.Duplicate || again.Seq != first.Seq {
			h.Errorf("first %+v, again %+v", first, again)
		}
	}},
	{name: "a message that expects another sequence is refused", run: func(h *harness) {
		h.stream()
		last := h.put("x", "").Seq
		_, err := h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", Last: jsclient.ExpectSeq(last + 5)})
		h.is("last", err, jsclient.ErrWrongLastSequence)
		_, err = h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", LastOnSubject: jsclient.ExpectSeq(0)})
		h.is("last on the subject", err, jsclient.ErrWrongLastSequence)
		ack, err := h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".new", LastOnSubject: jsclient.ExpectSeq(0), Stream: h.name})
		if err != nil || ack.Seq != last+1 {
			h.Errorf("the first on a subject: %+v, %v", ack, err)
		}
		ack, err = h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", Last: jsclient.ExpectSeq(last + 1), LastOnSubject: jsclient.ExpectSeq(last)})
		if err != nil || ack.Seq != last+2 {
			h.Errorf("as expected: %+v, %v", ack, err)
		}
		_, err = h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", Stream: "ANOTHER"})
		h.code("another stream", err, 10060)
	}},
	{name: "a message lives as long as it says", run: func(h *harness) {
		h.stream(func(c *jsclient.StreamConfig) { c.AllowMsgTTL = true })
		ack, err := h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", TTL: 1001 * time.Millisecond})
		h.ok(err)
		m, err := h.c.Get(h.ctx, h.name, ack.Seq)
		h.ok(err)
		if want := "NATS/1.0\r\nNats-TTL: 2s\r\n\r\n"; string(m.Header) != want {
			h.Errorf("header %q, want %q", m.Header, want)
		}
		h.eventually("it is gone", func() error {
			if _, err := h.c.Get(h.ctx, h.name, ack.Seq); err == nil {
				return fmt.Errorf("message %d is there", ack.Seq)
			}
			return nil
		})
	}},
	{name: "what no stream takes is refused", run: func(h *harness) {
		_, err := h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".nowhere"})
		h.is("nobody listens", err, jsclient.ErrNoResponders)
	}},
	{name: "what can not be sent is an error at once", run: func(h *harness) {
		for _, m := range []*jsclient.Outgoing{
			{Subject: ""}, {Subject: "a.*"}, {Subject: "a b"}, {Subject: "$JS.API.STREAM.DELETE." + h.name}, {Subject: "$JS.ACK.a.b.1.1.1.1.1"},
			{Subject: "a", Header: []byte("X: y\r\n")}, {Subject: "a", Header: []byte("NATS/1.0\r\nX: y\r\n")}, {Subject: "a", MsgID: "1\r\n2"},
			{Subject: "a", Stream: "1\n2"}, {Subject: "a", TTL: -1},
		} {
			_, err := h.c.Publish(h.ctx, m)
			h.is(fmt.Sprintf("%+v", m), err, jsclient.ErrBadMessage)
		}
	}},
	{name: "a window has many in flight and tells each once, in order of the stream", run: func(h *harness) {
		h.stream()
		base := h.base()
		const n = 2000
		w := h.window(jsclient.WindowOptions{Max: 64})
		for i := range uint64(n) {
			h.ok(w.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", Data: []byte("x")}, i))
		}
		h.ok(w.Drain(h.ctx))
		told := w.outcomes()
		if len(told) != n {
			h.Fatalf("%d of %d told", len(told), n)
		}
		for tag, o := range told {
			if o.State != jsclient.Stored || o.Seq != base+1+tag || o.Err != nil || o.Stream != h.name {
				h.Fatalf("message %d: %+v", tag, o)
			}
		}
	}},
	{name: "a window of many publishers", run: func(h *harness) {
		h.stream()
		w := h.window(jsclient.WindowOptions{Max: 16})
		var work sync.WaitGroup
		const each = 100
		for p := range uint64(4) {
			work.Go(func() {
				for i := range uint64(each) {
					m := &jsclient.Outgoing{Subject: h.name + ".x", MsgID: fmt.Sprint(p, "-", i%(each/2))}
					if err := w.Publish(h.ctx, m, p*each+i); err != nil {
						h.Error(err)
					}
				}
			})
		}
		work.Wait()
		h.ok(w.Drain(h.ctx))
		seqs, twice := map[uint64]bool{}, 0
		for tag, o := range w.outcomes() {
			if o.State != jsclient.Stored {
				h.Errorf("message %d: %+v", tag, o)
			}
			seqs[o.Seq] = true
			if o.Duplicate {
				twice++
			}
		}
		if len(seqs) != 2*each || twice != 2*each {
			h.Errorf("%d stored and %d duplicates, want %d of each", len(seqs), twice, 2*each)
		}
	}},
	{name: "a window refuses some and stores what is behind them", run: func(h *harness) {
		h.stream(func(c *jsclient.StreamConfig) { c.MaxMsgSize = 100 })
		base := h.base()
		w := h.window(jsclient.WindowOptions{})
		for i := range uint64(30) {
			m := &jsclient.Outgoing{Subject: h.name + ".x"}
			if i%3 == 1 {
				m.Data = make([]byte, 200)
			}
			h.ok(w.Publish(h.ctx, m, i))
		}
		h.ok(w.Drain(h.ctx))
		for tag, o := range w.outcomes() {
			if tag%3 == 1 {
				if o.State != jsclient.Refused {
					h.Errorf("message %d: %+v", tag, o)
				}
				h.code(fmt.Sprint("message ", tag), o.Err, 10054)
			} else if want := base + 1 + tag - (tag+1)/3; o.State != jsclient.Stored || o.Seq != want {
				h.Errorf("message %d: %+v, want sequence %d", tag, o, want)
			}
		}
	}},
	{name: "a closed window has told all", run: func(h *harness) {
		h.stream()
		base := h.base()
		w := h.window(jsclient.WindowOptions{Max: 32})
		sent := uint64(0)
		for ; sent < 32; sent++ {
			h.ok(w.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x"}, sent))
		}
		w.Close()
		told := w.outcomes()
		stored := uint64(0)
		for tag, o := range told {
			switch o.State {
			case jsclient.Stored:
				stored++
			case jsclient.Unknown:
				h.is(fmt.Sprint("message ", tag), o.Err, jsclient.ErrClosed)
			default:
				h.Errorf("message %d: %+v", tag, o)
			}
		}
		if uint64(len(told)) != sent {
			h.Errorf("%d of %d told", len(told), sent)
		}
		h.is("publish", w.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x"}, 99), jsclient.ErrClosed)
		h.eventually("what was sent is stored", func() error {
			if i, err := h.c.Info(h.ctx, h.name); err != nil || i.State.LastSeq != base+sent {
				return fmt.Errorf("%+v, %v", i, err)
			}
			return nil
		})
		ctx, cancel := context.WithCancel(h.ctx)
		cancel()
		h.ok(w.Drain(ctx)) // nothing is in flight
	}},
}
