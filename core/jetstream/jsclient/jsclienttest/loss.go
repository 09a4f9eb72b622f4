package jsclienttest

import (
	"errors"
	"fmt"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// flap cuts the link and lets it come back.
func (h *harness) flap() {
	h.env.Cut()
	h.env.Heal()
}

var lossCases = []testCase{
	{name: "a call says that the link is gone, and works when it is back", loss: true, run: func(h *harness) {
		h.stream()
		h.env.Cut()
		h.eventually("it is told", func() error {
			_, err := h.c.Info(h.ctx, h.name)
			if !errors.Is(err, jsclient.ErrNoResponders) && !errors.Is(err, jsclient.ErrLost) {
				return fmt.Errorf("told %v", err)
			}
			return nil
		})
		h.env.Heal()
		h.eventually("it is back", func() error {
			_, err := h.c.Info(h.ctx, h.name)
			return err
		})
	}},
	{name: "what is unknown is sent again and stored once", loss: true, run: func(h *harness) {
		h.stream()
		const n = 400
		left := map[uint64]bool{}
		for i := range uint64(n) {
			left[i] = true
		}
		unknown := 0
		for round := 0; len(left) > 0; round++ {
			if h.ctx.Err() != nil {
				h.Fatalf("%d are left", len(left))
			}
			w := h.window(jsclient.WindowOptions{Max: 50, Wait: 5 * time.Second})
			for i := range uint64(n) {
				if !left[i] {
					continue
				}
				if (i == n/3 || i == 2*n/3) && round == 0 {
					h.flap()
				}
				h.ok(w.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x", Data: fmt.Append(nil, i), MsgID: fmt.Sprint(i)}, i))
			}
			h.ok(w.Drain(h.ctx))
			for tag, o := range w.outcomes() {
				switch {
				case o.State == jsclient.Stored:
					delete(left, tag)
				case o.State == jsclient.Refused && !errors.Is(o.Err, jsclient.ErrNoResponders):
					h.Fatalf("message %d: %+v", tag, o)
				case o.State == jsclient.Unknown:
					unknown++
					if !jsclient.IsUnknown(o.Err) {
						h.Errorf("message %d: %+v", tag, o)
					}
				}
			}
			w.Close()
			if len(left) > 0 {
				h.eventually("the link is back", func() error {
					_, err := h.c.Info(h.ctx, h.name)
					return err
				})
			}
		}
		h.Logf("%d were unknown", unknown)
		u := h.cursor(jsclient.CursorOptions{ToEnd: true})
		seen := map[string]bool{}
		for {
			m, err := u.Next(h.ctx)
			if err != nil {
				break
			}
			if seen[string(m.Data)] {
				h.Errorf("message %s is stored twice", m.Data)
			}
			seen[string(m.Data)] = true
		}
		if len(seen) != n {
			h.Errorf("%d of %d are stored", len(seen), n)
		}
	}},
	{name: "a walk over losses of the link leaves out and doubles nothing", loss: true, run: func(h *harness) {
		h.stream()
		b := h.base()
		const n = 300
		h.fill(n, 3)
		for _, filters := range [][]string{nil, {h.name + ".1"}} {
			u := h.cursor(jsclient.CursorOptions{Max: 16, Filters: filters})
			step := uint64(1)
			first := b + 1
			if filters != nil {
				step, first = 3, b+2
			}
			count := 0
			for want := first; want <= b+n; want += step {
				if count++; count%50 == 20 {
					h.flap()
				}
				m, err := u.Next(h.ctx)
				h.ok(err)
				if m.Seq != want {
					h.Fatalf("got %d, want %d", m.Seq, want)
				}
			}
		}
		// Each subject's newest, once.
		u := h.cursor(jsclient.CursorOptions{LastPerSubject: true, ToEnd: true, Max: 2})
		m, err := u.Next(h.ctx)
		h.ok(err)
		h.flap()
		if m.Seq != b+n-2 {
			h.Errorf("the first of the newest is %d, want %d", m.Seq, b+n-2)
		}
		h.walk(u, b+n-1, b+n)
	}},
	{name: "a walk waits over a loss of the link", loss: true, run: func(h *harness) {
		h.stream()
		seq := h.put("a", "1").Seq
		u := h.cursor(jsclient.CursorOptions{})
		m, err := u.Next(h.ctx)
		h.message(m, err, seq, "a", "1")
		next := make(chan error, 1)
		go func() { // ends with the next message, or with the case
			m, err = u.Next(h.ctx)
			next <- err
		}()
		h.flap()
		var ack jsclient.Ack
		h.eventually("the next one is stored", func() (err error) {
			ack, err = h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".a", Data: []byte("2"), MsgID: "2"})
			return err
		})
		h.ok(<-next)
		h.message(m, nil, ack.Seq, "a", "2")
	}},
	{name: "a consumer over losses of the link gets all", loss: true, run: func(h *harness) {
		h.stream()
		b := h.base()
		const n = 200
		h.fill(n, 1)
		k := h.consumer(jsclient.ConsumeOptions{Max: 16}, func(c *jsclient.ConsumerConfig) { c.AckWait = 2 * time.Second })
		seen := map[uint64]bool{}
		for count := 0; ; count++ {
			if count%50 == 20 && count < n {
				h.flap()
			}
			d, err := k.Next(h.ctx)
			h.ok(err)
			seen[d.Seq] = true
			h.ok(d.Ack())
			if len(seen) == n {
				break
			}
		}
		for seq := b + 1; seq <= b+n; seq++ {
			if !seen[seq] {
				h.Errorf("message %d did not come", seq)
			}
		}
		// An acknowledgement that was lost brings its message again.
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				d, err := k.Next(h.ctx)
				if err != nil {
					return
				}
				_ = d.Ack()
			}
		}()
		h.settled(b + n)
		k.Close()
		<-done
	}},
}
