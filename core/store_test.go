package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

func TestServer_keepsAStream(t *testing.T) {
	store := servertest.JetStream(t)
	s := servertest.Start(t, store)
	for _, subjects := range [][]string{{"plant.>"}, {"plant.>"}, {"plant.>", "site"}} {
		if err := s.KeepStream(t.Context(), "EDGE", subjects); err != nil {
			t.Fatalf("keep %q: %v", subjects, err)
		}
	}
	c := connect(t, s, "")
	c.send("SUB in 1\r\nPUB site in 2\r\nhi\r\n")
	c.line()
	if got := c.line(); got != `{"stream":"EDGE","seq":1}` {
		t.Errorf("answer %s", got)
	}
	if err := s.KeepStream(t.Context(), "OTHER", []string{"site"}); err == nil || !strings.Contains(err.Error(), "10065") {
		t.Errorf("overlapping subjects: %v", err)
	}
	t.Run("and has it after a restart, alone in its folder", func(t *testing.T) {
		second, err := servertest.New(t, store)
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Start(); err == nil {
			t.Error("two servers on one folder")
		}
		servertest.Stop(t, second)
		servertest.Stop(t, s)
		again := servertest.Start(t, store)
		c := connect(t, again, "")
		c.send("SUB in 1\r\nPUB plant.1 in 2\r\nhi\r\n")
		c.line()
		if got := c.line(); got != `{"stream":"EDGE","seq":2}` {
			t.Errorf("answer %s", got)
		}
	})
}

func TestServer_answersUnderItsDomain(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) { o.JetStream.Domain = "dom" }))
	c := connect(t, s, `,"headers":true,"no_responders":true`)
	c.send("SUB in 1\r\nPUB $JS.dom.API.INFO in 0\r\n\r\n")
	c.line()
	if got := c.line(); !strings.Contains(got, `"domain":"dom"`) {
		t.Errorf("answer %s", got)
	}
	c.send("PUB $JS.other.API.INFO in 0\r\n\r\n")
	if got := c.line(); !strings.HasPrefix(got, "HMSG in 1 ") {
		t.Errorf("answer %s", got)
	}
}

func TestClockPlausible(t *testing.T) {
	for year, want := range map[int]bool{1970: false, 2000: false, 2025: false, 2026: true, 2038: true, 2100: true} {
		if got := core.ClockPlausible(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("%d: %v", year, got)
		}
	}
}

// A client that waits for messages is told that the server goes, before its
// connection ends.
func TestServer_shutdownEndsPullRequests(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t))
	if err := s.KeepStream(t.Context(), "S", []string{"s"}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s, `,"headers":true`)
	body := `{"stream_name":"S","config":{"durable_name":"c","ack_policy":"explicit"}}`
	c.send(fmt.Sprintf("SUB in 1\r\nPUB $JS.API.CONSUMER.CREATE.S.c in %d\r\n%s\r\n", len(body), body))
	c.line()
	if l := c.line(); strings.Contains(l, `"error"`) {
		t.Fatal(l)
	}
	c.send("PUB $JS.API.CONSUMER.MSG.NEXT.S.c in 1\r\n5\r\n")
	c.barrier()
	servertest.Stop(t, s)
	if got := c.rest(); !strings.Contains(got, "NATS/1.0 409 Server Shutdown\r\n") {
		t.Errorf("%q", got)
	}
}
