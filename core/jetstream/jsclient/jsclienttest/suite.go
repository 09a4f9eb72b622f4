package jsclienttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/jetstream/jsclient"
)

// Env is a JetStream to test against.
type Env struct {
	// Client makes one.
	Client func() (*jsclient.Client, error)
	// Cut breaks the way to the JetStream and Heal lets it come back, without
	// waiting for it. nil: there is no way that could break.
	Cut, Heal func()
}

// patience is how long a case may take on a busy machine.
const patience = 2 * time.Minute

// Run runs the suite. Cases use streams of their own, one after the other.
func Run(t *testing.T, env Env) {
	for _, list := range [][]testCase{streamCases, publishCases, readCases, cursorCases, consumerCases, lossCases} {
		for _, c := range list {
			t.Run(c.name, func(t *testing.T) {
				if c.loss && env.Cut == nil {
					t.Skip("there is no link")
				}
				h := newHarness(t, env)
				c.run(h)
			})
		}
	}
}

type testCase struct {
	name string
	loss bool // breaks the link
	run  func(h *harness)
}

// harness is one case: a client, and a name that nobody else uses for streams,
// subjects and consumers.
type harness struct {
	*testing.T
	env  Env
	ctx  context.Context
	c    *jsclient.Client
	name string
}

func newHarness(t *testing.T, env Env) *harness {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	h := &harness{T: t, env: env, ctx: ctx}
	_, last, _ := strings.Cut(t.Name(), "/")
	h.name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, last)
	h.c = h.client()
	return h
}

// client makes another client.
func (h *harness) client() *jsclient.Client {
	h.Helper()
	c, err := h.env.Client()
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(c.Close)
	return c
}

// config is a stream of the case with the subjects <name>.>.
func (h *harness) config() *jsclient.StreamConfig {
	return &jsclient.StreamConfig{Name: h.name, Subjects: []string{h.name + ".>"}, AllowDirect: true}
}

// stream makes the stream of the case; it is deleted at its end.
func (h *harness) stream(change ...func(*jsclient.StreamConfig)) *jsclient.StreamInfo {
	h.Helper()
	cfg := h.config()
	for _, f := range change {
		f(cfg)
	}
	i, err := h.c.Ensure(h.ctx, cfg)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if c, err := h.env.Client(); err == nil {
			_ = c.Delete(ctx, h.name)
			c.Close()
		}
	})
	if h.env.Cut != nil {
		h.interest()
	}
	return i
}

// interest waits until the stream hears what is published here: that it is there
// is known before its interest has come over the link.
func (h *harness) interest() {
	h.Helper()
	h.eventually("the stream is heard of", func() error {
		ctx, cancel := context.WithTimeout(h.ctx, time.Second)
		defer cancel()
		_, err := h.c.Publish(ctx, &jsclient.Outgoing{Subject: h.name + ".probe"})
		return err
	})
	if _, err := h.c.Purge(h.ctx, h.name, jsclient.PurgeOptions{}); err != nil {
		h.Fatal(err)
	}
}

// base is the sequence before the first message that a case publishes.
func (h *harness) base() uint64 {
	h.Helper()
	i, err := h.c.Info(h.ctx, h.name)
	if err != nil {
		h.Fatal(err)
	}
	return i.State.LastSeq
}

func (h *harness) eventually(what string, f func() error) {
	h.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			h.Fatalf("never happened: %s: %v", what, err)
		}
	}
}

// put publishes a message under the case's name.
func (h *harness) put(token, body string) jsclient.Ack {
	h.Helper()
	ack, err := h.c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + "." + token, Data: []byte(body)})
	if err != nil {
		h.Fatalf("publish %s: %v", token, err)
	}
	return ack
}

// fill publishes n messages on <name>.<prefix><i mod subjects>, whose bodies are
// their numbers.
func (h *harness) fill(n, subjects int) {
	h.Helper()
	w := h.window(jsclient.WindowOptions{})
	for i := range n {
		m := &jsclient.Outgoing{Subject: fmt.Sprintf("%s.%d", h.name, i%subjects), Data: fmt.Append(nil, i)}
		if err := w.Publish(h.ctx, m, uint64(i)); err != nil {
			h.Fatal(err)
		}
	}
	if err := w.Drain(h.ctx); err != nil {
		h.Fatal(err)
	}
	for tag, o := range w.outcomes() {
		if o.State != jsclient.Stored {
			h.Fatalf("message %d: %+v", tag, o)
		}
	}
}

func (h *harness) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// is checks an error.
func (h *harness) is(what string, err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Errorf("%s: %v, want %v", what, err, want)
	}
}

// code checks that an error is one of JetStream's.
func (h *harness) code(what string, err error, codes ...uint16) {
	h.Helper()
	var api *jsclient.APIError
	if errors.As(err, &api) {
		for _, c := range codes {
			if api.ErrCode == c {
				return
			}
		}
	}
	h.Errorf("%s: %v, want an error %v", what, err, codes)
}

func (h *harness) message(m *jsclient.Message, err error, seq uint64, token, body string) {
	h.Helper()
	if err != nil {
		h.Errorf("message %d: %v", seq, err)
		return
	}
	if m.Seq != seq || m.Subject != h.name+"."+token || !bytes.Equal(m.Data, []byte(body)) {
		h.Errorf("got %d %s %q, want %d %s %q", m.Seq, m.Subject, m.Data, seq, token, body)
	}
	if age := time.Since(m.Time); age < -time.Minute || age > 2*patience {
		h.Errorf("message %d is of %v", m.Seq, m.Time)
	}
}
