package jsclienttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

const beat = time.Second // of heartbeats in the suite

func (h *harness) cursor(o jsclient.CursorOptions) *jsclient.Cursor {
	h.Helper()
	if o.Heartbeat == 0 {
		o.Heartbeat = beat
	}
	u, err := h.c.Cursor(h.name, o)
	h.ok(err)
	h.Cleanup(u.Close)
	return u
}

// walk reads the cursor to its end and checks the sequences.
func (h *harness) walk(u *jsclient.Cursor, want ...uint64) {
	h.Helper()
	var got []uint64
	for {
		m, err := u.Next(h.ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			h.Fatalf("behind %v: %v", got, err)
		}
		got = append(got, m.Seq)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Errorf("walked along %v, want %v", got, want)
	}
}

func from(first, last, step uint64) (list []uint64) {
	for ; first <= last; first += step {
		list = append(list, first)
	}
	return list
}

var cursorCases = []testCase{
	{name: "a walk along all, and along parts", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(60, 3)
		middle, err := h.c.Get(h.ctx, h.name, b+31)
		h.ok(err)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true}), from(b+1, b+60, 1)...)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, Max: 7}), from(b+1, b+60, 1)...)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, Filters: []string{h.name + ".1"}}), from(b+2, b+60, 3)...)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, Filters: []string{h.name + ".1", h.name + ".2"}, Seq: b + 57}), b+57, b+59, b+60)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, Seq: b + 50}), from(b+50, b+60, 1)...)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, Seq: b + 61}))
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, LastPerSubject: true}), b+58, b+59, b+60)
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, New: true}))
		u := h.cursor(jsclient.CursorOptions{ToEnd: true, Time: middle.Time})
		m, err := u.Next(h.ctx)
		h.ok(err)
		if m.Time.Before(middle.Time) || m.Seq > b+31 {
			h.Errorf("from %v began with %d of %v", middle.Time, m.Seq, m.Time)
		}
		h.walk(u, from(m.Seq+1, b+60, 1)...)
		if _, err := u.Next(h.ctx); !errors.Is(err, io.EOF) {
			h.Errorf("behind the end: %v", err)
		}
		if _, err := h.c.Cursor(h.name, jsclient.CursorOptions{Seq: 1, New: true}); err == nil {
			h.Error("a cursor that begins twice")
		}
	}},
	{name: "a walk waits for what comes", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.put("a", "before")
		u := h.cursor(jsclient.CursorOptions{Max: 4, Heartbeat: 100 * time.Millisecond})
		m, err := u.Next(h.ctx)
		h.message(m, err, b+1, "a", "before")
		short, cancel := context.WithTimeout(h.ctx, 700*time.Millisecond) // longer than a request
		defer cancel()
		_, err = u.Next(short)
		h.is("nothing", err, context.DeadlineExceeded)
		next := h.cursor(jsclient.CursorOptions{New: true})
		short, cancel = context.WithTimeout(h.ctx, 50*time.Millisecond)
		defer cancel()
		_, err = next.Next(short) // may have begun or not
		h.is("nothing new", err, context.DeadlineExceeded)
		for i := range uint64(20) {
			seq := h.put("a", fmt.Sprint(i)).Seq
			m, err = u.Next(h.ctx)
			h.message(m, err, seq, "a", fmt.Sprint(i))
		}
		m, err = next.Next(h.ctx)
		h.ok(err)
		for last := m.Seq; last < b+21; last = m.Seq {
			m, err = next.Next(h.ctx)
			h.ok(err)
			if m.Seq != last+1 {
				h.Errorf("%d follows %d", m.Seq, last)
			}
		}
	}},
	{name: "a walk along large messages and their headers", run: func(h *harness) {
		h.stream()
		b := h.base()
		for i, size := range []int{10, 50_000, 3000, 100_000, 10} {
			h.put(fmt.Sprint(i), strings.Repeat("x", size))
		}
		h.walk(h.cursor(jsclient.CursorOptions{ToEnd: true, MaxBytes: 4000}), from(b+1, b+5, 1)...)
		u := h.cursor(jsclient.CursorOptions{ToEnd: true, HeadersOnly: true})
		m, err := u.Next(h.ctx)
		h.ok(err)
		if len(m.Data) != 0 || !strings.Contains(string(m.Header), "Nats-Msg-Size: 10\r\n") {
			h.Errorf("headers only: %q, header %q", m.Data, m.Header)
		}
	}},
	{name: "a walk along a stream that is purged meanwhile", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(50, 1)
		u := h.cursor(jsclient.CursorOptions{ToEnd: true, Max: 4})
		m, err := u.Next(h.ctx)
		h.message(m, err, b+1, "0", "0")
		_, err = h.c.Purge(h.ctx, h.name, jsclient.PurgeOptions{Seq: b + 40})
		h.ok(err)
		last := m.Seq
		for {
			m, err = u.Next(h.ctx)
			if err != nil {
				break
			}
			if m.Seq != last+1 && m.Seq != b+40 {
				h.Errorf("%d follows %d", m.Seq, last)
			}
			last = m.Seq
		}
		if !errors.Is(err, io.EOF) || last != b+50 {
			h.Errorf("ended behind %d: %v", last, err)
		}
	}},
	{name: "a walk ends when its stream is deleted, and is not that of another one", run: func(h *harness) {
		h.stream()
		h.fill(3, 1)
		read := func() *jsclient.Cursor {
			u := h.cursor(jsclient.CursorOptions{Heartbeat: 200 * time.Millisecond})
			for range 3 {
				_, err := u.Next(h.ctx)
				h.ok(err)
			}
			return u
		}
		gone, anew := read(), read()
		h.ok(h.c.Delete(h.ctx, h.name))
		_, err := gone.Next(h.ctx)
		h.is("deleted", err, jsclient.ErrStreamNotFound)
		h.stream()
		h.put("0", "another")
		_, err = anew.Next(h.ctx)
		h.is("made anew", err, jsclient.ErrStreamReplaced)
	}},
	{name: "a walk whose consumer is deleted goes on", run: func(h *harness) {
		h.stream()
		b := h.base()
		h.fill(30, 1)
		u := h.cursor(jsclient.CursorOptions{Max: 4, Heartbeat: 200 * time.Millisecond})
		for i := range uint64(30) {
			m, err := u.Next(h.ctx)
			h.message(m, err, b+1+i, "0", fmt.Sprint(i))
			if i%10 == 5 {
				h.deleteConsumers()
			}
		}
		h.deleteConsumers()
		seq := h.put("0", "live").Seq
		m, err := u.Next(h.ctx)
		h.message(m, err, seq, "0", "live")
	}},
}

// deleteConsumers deletes those of the stream, whatever their names are.
func (h *harness) deleteConsumers() {
	h.Helper()
	for _, name := range h.consumers() {
		if err := h.c.DeleteConsumer(h.ctx, h.name, name); !errors.Is(err, jsclient.ErrConsumerNotFound) {
			h.ok(err)
		}
	}
}

func (h *harness) consumers() []string {
	h.Helper()
	names, err := h.c.ConsumerNames(h.ctx, h.name)
	h.ok(err)
	return names
}
