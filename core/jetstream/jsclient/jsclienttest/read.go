package jsclienttest

import (
	"errors"
	"fmt"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// direct runs a case with and without direct gets.
func direct(name string, run func(h *harness)) []testCase {
	var list []testCase
	for _, d := range []bool{true, false} {
		list = append(list, testCase{name: fmt.Sprintf("%s, direct %v", name, d), run: func(h *harness) {
			h.stream(func(c *jsclient.StreamConfig) { c.AllowDirect = d })
			run(h)
		}})
	}
	return list
}

var readCases = append(append(direct("messages are read by sequence, by subject, and one after the other", func(h *harness) {
	base := h.base()
	for i, token := range []string{"a", "b", "a", "c.d"} {
		h.put(token, fmt.Sprint(token, i))
	}
	m, err := h.c.Get(h.ctx, h.name, base+2)
	h.message(m, err, base+2, "b", "b1")
	m, err = h.c.Last(h.ctx, h.name, h.name+".a")
	h.message(m, err, base+3, "a", "a2")
	m, err = h.c.Last(h.ctx, h.name, h.name+".>")
	h.message(m, err, base+4, "c.d", "c.d3")
	m, err = h.c.Next(h.ctx, h.name, base+2, h.name+".a")
	h.message(m, err, base+3, "a", "a2")
	m, err = h.c.Next(h.ctx, h.name, 0, "")
	h.message(m, err, base+1, "a", "a0")
	h.ok(h.c.DeleteMessage(h.ctx, h.name, base+2))
	h.is("deleted twice", h.c.DeleteMessage(h.ctx, h.name, base+2), jsclient.ErrMessageNotFound)
	m, err = h.c.Next(h.ctx, h.name, base+2, "")
	h.message(m, err, base+3, "a", "a2")
	for what, get := range map[string]func() (*jsclient.Message, error){
		"a deleted one":       func() (*jsclient.Message, error) { return h.c.Get(h.ctx, h.name, base+2) },
		"one that is to come": func() (*jsclient.Message, error) { return h.c.Get(h.ctx, h.name, base+50) },
		"none":                func() (*jsclient.Message, error) { return h.c.Get(h.ctx, h.name, 0) },
		"last on no subject":  func() (*jsclient.Message, error) { return h.c.Last(h.ctx, h.name, h.name+".none") },
		"next at the end":     func() (*jsclient.Message, error) { return h.c.Next(h.ctx, h.name, base+5, "") },
	} {
		_, err := get()
		h.is(what, err, jsclient.ErrMessageNotFound)
	}
}), direct("headers and bytes come back as they were sent", func(h *harness) {
	// Headers of the protocol's own are there too when a message was republished.
	const header = "NATS/1.0\r\nNats-Stream: ELSEWHERE\r\nNats-Subject: s\r\nNats-Sequence: 77\r\nNats-Time-Stamp: 2020-01-01T00:00:00Z\r\nX: y\r\nX:  z\r\n\r\n"
	for _, m := range []*jsclient.Outgoing{
		{Header: []byte(header), Data: []byte("with")},
		{Data: []byte{0, 255, '\r', '\n', 0}},
		{},
		{Header: []byte("NATS/1.0\r\nX: y\r\n\r\n")},
	} {
		m.Subject = h.name + ".x"
		ack, err := h.c.Publish(h.ctx, m)
		h.ok(err)
		got, err := h.c.Get(h.ctx, h.name, ack.Seq)
		h.message(got, err, ack.Seq, "x", string(m.Data))
		if err == nil && string(got.Header) != string(m.Header) {
			h.Errorf("message %d came back with header\n%q, sent\n%q", ack.Seq, got.Header, m.Header)
		}
	}
})...), []testCase{
	{name: "a stream that stops to allow direct gets is read all the same", run: func(h *harness) {
		h.stream()
		seq := h.put("x", "1").Seq
		m, err := h.c.Get(h.ctx, h.name, seq)
		h.message(m, err, seq, "x", "1")
		other := h.client() // so that the first one does not know
		_, err = other.Update(h.ctx, h.name, func(c *jsclient.StreamConfig) { c.AllowDirect = false })
		h.ok(err)
		h.eventually("it is read", func() error {
			_, err := h.c.Get(h.ctx, h.name, seq)
			return err
		})
		h.ok(other.Delete(h.ctx, h.name))
		h.eventually("it is known to be gone", func() error {
			if _, err := h.c.Get(h.ctx, h.name, seq); !errors.Is(err, jsclient.ErrStreamNotFound) {
				return fmt.Errorf("%v", err)
			}
			return nil
		})
	}},
	{name: "the newest of each subject", run: func(h *harness) {
		h.stream()
		base := h.base()
		h.fill(20, 4)
		list, err := h.c.LastPerSubject(h.ctx, h.name, []string{h.name + ".*"}, 0)
		h.ok(err)
		if len(list) != 4 {
			h.Fatalf("%d messages, want 4", len(list))
		}
		for i, m := range list {
			h.message(m, nil, base+17+uint64(i), fmt.Sprint(i), fmt.Sprint(16+i))
		}
		list, err = h.c.LastPerSubject(h.ctx, h.name, []string{h.name + ".1", h.name + ".3"}, base+10)
		h.ok(err)
		if len(list) != 2 {
			h.Fatalf("%d messages, want 2", len(list))
		}
		h.message(list[0], nil, base+8, "3", "7")
		h.message(list[1], nil, base+10, "1", "9")
		if list, err = h.c.LastPerSubject(h.ctx, h.name, []string{h.name + ".none"}, 0); err != nil || len(list) > 0 {
			h.Errorf("of no subject: %d, %v", len(list), err)
		}
	}},
	{name: "a batch, and the one behind it", run: func(h *harness) {
		h.stream()
		base := h.base()
		h.fill(10, 2)
		list, more, err := h.c.NextBatch(h.ctx, h.name, base+3, h.name+".0", 2, 1<<20)
		h.ok(err)
		if len(list) != 2 || !more {
			h.Fatalf("%d messages, more %v", len(list), more)
		}
		h.message(list[0], nil, base+3, "0", "2")
		h.message(list[1], nil, base+5, "0", "4")
		list, more, err = h.c.NextBatch(h.ctx, h.name, base+6, h.name+".*", 100, 1)
		h.ok(err)
		if len(list) != 1 || !more {
			h.Fatalf("%d messages, more %v: one alone is as large as may be", len(list), more)
		}
		list, more, err = h.c.NextBatch(h.ctx, h.name, base+9, ">", 100, 1<<20)
		h.ok(err)
		if len(list) != 2 || more {
			h.Fatalf("%d messages, more %v", len(list), more)
		}
		if list, more, err = h.c.NextBatch(h.ctx, h.name, base+11, ">", 100, 1<<20); err != nil || len(list) > 0 || more {
			h.Errorf("behind the end: %d, more %v, %v", len(list), more, err)
		}
	}},
	{name: "too many subjects are told", run: func(h *harness) {
		h.stream(func(c *jsclient.StreamConfig) { c.Storage = 1 })
		h.fill(jsclient.MaxLastPerSubject+1, jsclient.MaxLastPerSubject+1)
		_, err := h.c.LastPerSubject(h.ctx, h.name, []string{h.name + ".*"}, 0)
		var api *jsclient.APIError
		if !errors.As(err, &api) || api.Code != 413 {
			h.Errorf("too many: %v", err)
		}
	}},
}...)
