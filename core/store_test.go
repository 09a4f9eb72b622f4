package core_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
)

func TestServer_keepsAStream(t *testing.T) {
	store := servertest.JetStream(t)
	keep := func(subjects ...string) *core.Server {
		t.Helper()
		return servertest.Start(t, store, servertest.With(func(o *config.Options) { o.EdgeStore = subjects }))
	}
	check := func(s *core.Server, want core.KeptStream) {
		t.Helper()
		if got, err := s.EdgeStore(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("kept %+v, want %+v, %v", got, want, err)
		}
	}
	publish := func(s *core.Server, subject string, seq int) {
		t.Helper()
		c := connect(t, s, "")
		c.send("SUB in 1\r\nPUB " + subject + " in 2\r\nhi\r\n")
		c.line()
		if got, want := c.line(), fmt.Sprintf(`{"stream":"EDGE","seq":%d}`, seq); got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
	}
	s := keep("plant.>")
	check(s, core.KeptStream{Subjects: []string{"plant.>"}})
	publish(s, "plant.1", 1)
	servertest.Stop(t, s)

	s = keep("plant.>", "site")
	check(s, core.KeptStream{Subjects: []string{"plant.>", "site"}, Messages: 1})
	publish(s, "site", 2)
	servertest.Stop(t, s)

	s = keep("site")
	check(s, core.KeptStream{Subjects: []string{"site"}, Dropped: []string{"plant.>"}, Messages: 2})
	servertest.Stop(t, s)

	s = keep()
	check(s, core.KeptStream{Subjects: []string{"site"}, Messages: 2})
	publish(s, "site", 3)
}

func TestServer_refusesAnEdgeStoreThatCanNotBe(t *testing.T) {
	for _, c := range []struct {
		subjects []string
		off      bool
		want     string
	}{
		{[]string{"a"}, true, "edge_store needs jetstream"},
		{[]string{">"}, false, "the server's own answers"},
		{[]string{"a..b"}, false, "invalid subject"},
		{[]string{"a.*", "a.b"}, false, "overlap"},
	} {
		_, err := servertest.New(t, servertest.JetStream(t), servertest.With(func(o *config.Options) {
			o.EdgeStore, o.JetStream.Enabled = c.subjects, !c.off
		}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.subjects, err)
		}
	}
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

// A file where a folder should be is called so, as by the stock server, and
// named.
func TestServer_storeIsAFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	inside := filepath.Join(dir, "folder", "jetstream")
	for _, f := range []string{file, inside} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(f), 0o700), os.WriteFile(f, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for storeDir, named := range map[string]string{file: file, filepath.Join(file, "deeper"): file, filepath.Dir(inside): inside} {
		s, err := servertest.New(t, servertest.With(func(o *config.Options) { o.JetStream.Enabled, o.JetStream.StoreDir = true, storeDir }))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Start()
		servertest.Stop(t, s)
		if err == nil || !strings.Contains(err.Error(), "storage directory is not a directory") || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v", storeDir, err)
		}
	}
}

// A client that waits for messages is told that the server goes, before its
// connection ends.
func TestServer_shutdownEndsPullRequests(t *testing.T) {
	s := servertest.Start(t, servertest.JetStream(t), servertest.With(func(o *config.Options) { o.EdgeStore = []string{"s"} }))
	c := connect(t, s, `,"headers":true`)
	body := `{"stream_name":"EDGE","config":{"durable_name":"c","ack_policy":"explicit"}}`
	c.send(fmt.Sprintf("SUB in 1\r\nPUB $JS.API.CONSUMER.CREATE.EDGE.c in %d\r\n%s\r\n", len(body), body))
	c.line()
	if l := c.line(); strings.Contains(l, `"error"`) {
		t.Fatal(l)
	}
	c.send("PUB $JS.API.CONSUMER.MSG.NEXT.EDGE.c in 1\r\n5\r\n")
	c.barrier()
	servertest.Stop(t, s)
	if got := c.rest(); !strings.Contains(got, "NATS/1.0 409 Server Shutdown\r\n") {
		t.Errorf("%q", got)
	}
}
