package core_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/testkit"
)

// Damage is told to whoever asks, and not to probes that would end a server for
// it, until somebody acknowledges it; that holds over a restart.
func TestDamage_is_told_and_acknowledged(t *testing.T) {
	dir := t.TempDir()
	// A stream's folder that nothing knows of.
	strange := filepath.Join(dir, "jetstream", "streams", "77")
	if err := os.MkdirAll(strange, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(strange, "00000001.chunks"), []byte("what was this"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := servertest.With(func(o *config.Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
		o.JetStream.Enabled = true
		o.JetStream.StoreDir = dir
		o.JetStream.MaxStore = 1 << 30
	})
	s := servertest.Start(t, with)
	expect := func(s *core.Server, path string, status int, want string) {
		t.Helper()
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := c.Get("http://" + s.MonitorAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Body.Close() != nil {
			t.Fatal(err)
		}
		if r.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s, want %d with %q", path, r.StatusCode, body, status, want)
		}
	}
	expect(s, "/healthz", 503, "damage 1")
	expect(s, "/healthz?details=true", 503, `"type":"DAMAGE"`)
	for _, probe := range []string{"/healthz?js-server-only=true", "/healthz?js-enabled-only=true", "/livez"} {
		expect(s, probe, 200, "ok")
	}
	list, err := core.ListDamage(dir, false)
	if err != nil || len(list) != 1 || list[0].Where == "" || list[0].Do == "" {
		t.Fatalf("damage %+v, %v", list, err)
	}
	if err := core.AckDamage(dir, list[0].ID+1); err == nil {
		t.Error("a damage that there is not was acknowledged")
	}
	info, err := os.Stat(filepath.Join(dir, "jetstream", "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is open to others: %v, %v", info.Mode(), err)
	}
	if err := core.AckDamage(dir, list[0].ID); err != nil {
		t.Fatal(err)
	}
	expect(s, "/healthz", 200, "ok")
	servertest.Stop(t, s)
	if _, err := core.ListDamage(dir, false); !errors.Is(err, core.ErrNoServer) {
		t.Errorf("a stopped server answers: %v", err)
	}
	servertest.Start(t, with)
	if list, err := core.ListDamage(dir, false); err != nil || len(list) != 0 {
		t.Errorf("after a restart %+v, %v", list, err)
	}
	if list, err := core.ListDamage(dir, true); err != nil || len(list) != 1 || !list[0].Acked {
		t.Errorf("after a restart, all: %+v, %v", list, err)
	}
}

// A server is well, and the same edge to its hub, with one of the two files of
// the folder's identity damaged; the damage is told.
func TestDamage_identity(t *testing.T) {
	dir := t.TempDir()
	first, err := core.NewStoreIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte("what was this"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir = true, dir
		o.JetStream.MaxStore = 1 << 30
	}))
	if id, err := core.ReadStoreIdentity(dir); err != nil || id != first {
		t.Errorf("identity %v, %v, it was %v", id, err, first)
	}
	if h := s.Healthz(nil); h.StatusCode != 503 || !strings.Contains(h.Error, "identity.json: damaged") {
		t.Errorf("/healthz %+v", h)
	}
}

// Both files of the identity are gone, and something is stored: the server is
// another edge to its hub, which is told, over restarts, until it is acknowledged.
// A folder in which nothing is stored gets one without a word. (A preset makes the
// identity before the server starts.)
func TestDamage_identityGone(t *testing.T) {
	for _, preset := range []bool{false, true} {
		dir := t.TempDir()
		start := func() *core.Server {
			t.Helper()
			if preset {
				if _, err := core.OpenStoreIdentity(dir); err != nil {
					t.Fatal(err)
				}
			}
			return servertest.Start(t, servertest.With(func(o *config.Options) {
				o.JetStream.Enabled, o.JetStream.StoreDir = true, dir
				o.JetStream.MaxStore = 1 << 30
			}))
		}
		told := func(s *core.Server) bool {
			h := s.Healthz(nil)
			return h.StatusCode == 503 && strings.Contains(h.Error, "identity.json, identity.copy")
		}
		remove := func() {
			t.Helper()
			for _, name := range []string{"identity.json", "identity.copy"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := start()
		servertest.Stop(t, s)
		remove()
		if s = start(); s.Healthz(nil).StatusCode != 200 {
			t.Errorf("preset %v: nothing was stored: %+v", preset, s.Healthz(nil))
		}
		if _, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(`{"name":"S","subjects":["s"]}`)); err != nil {
			t.Fatal(err)
		}
		servertest.Stop(t, s)
		if s = start(); s.Healthz(nil).StatusCode != 200 {
			t.Errorf("preset %v: all is there: %+v", preset, s.Healthz(nil))
		}
		servertest.Stop(t, s)
		remove()
		for range 2 {
			if s = start(); !told(s) {
				t.Errorf("preset %v: /healthz %+v", preset, s.Healthz(nil))
			}
			servertest.Stop(t, s)
		}
		s = start()
		list, err := core.ListDamage(dir, false)
		if err != nil || len(list) != 1 || list[0].Kind != "identity" || list[0].Times != 1 || core.AckDamage(dir, list[0].ID) != nil {
			t.Fatalf("preset %v: %+v, %v", preset, list, err)
		}
		servertest.Stop(t, s)
		if s = start(); s.Healthz(nil).StatusCode != 200 {
			t.Errorf("preset %v: acknowledged, and told: %+v", preset, s.Healthz(nil))
		}
		servertest.Stop(t, s)
	}
}

// A program that embeds a server may ask it as nats-server is asked, without
// options.
func TestMonitor_without_options(t *testing.T) {
	s := servertest.Start(t)
	c, err := s.Connz(nil)
	if err != nil || c.Limit == 0 {
		t.Errorf("/connz %+v, %v", c, err)
	}
	if h := s.Healthz(nil); h.StatusCode != 200 {
		t.Errorf("/healthz %+v", h)
	}
	if l := s.Leafz(nil); l.Leafs == nil {
		t.Errorf("/leafz %+v", l)
	}
}

// Each of the two files of the identity, removed, emptied or filled with zeros beside
// what is stored, is told once, by its name, and made again; a preset that reads the
// identity before the server starts takes nothing of that away. The other files that
// stand beside the streams' are told, or lack nothing without a word.
func TestDamage_filesOfTheFolder(t *testing.T) {
	for _, c := range []struct {
		file string
		why  string // it is lawful to be silent; "": it is told
	}{
		{"identity.json", ""},
		{"identity.copy", ""},
		{filepath.Join("jetstream", "control.sock"), "each start makes it, and holds no data in it"},
		{filepath.Join("jetstream", "spare"), "room for a start on a full disk, made again; it holds no data"},
		{filepath.Join("jetstream", "journal", "lock"), "empty, locked while a server runs; so is its folder"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, c.file)
		first, err := core.NewStoreIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		log := new(testkit.Log)
		start := func() *core.Server {
			t.Helper()
			if id, err := core.OpenStoreIdentity(dir); err != nil || id != first { // as a preset does
				t.Fatalf("%s: identity %v, %v, it was %v", c.file, id, err, first)
			}
			return servertest.Start(t, servertest.Logger(log.Logger()), servertest.With(func(o *config.Options) {
				o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, dir, 1<<30
			}))
		}
		s := start()
		if _, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(`{"name":"S","subjects":["s"]}`)); err != nil {
			t.Fatal(err)
		}
		servertest.Stop(t, s)
		times := 0
		for name, fault := range map[string]func() error{
			"gone":  func() error { return os.Remove(path) },
			"empty": func() error { return os.WriteFile(path, nil, 0o600) },
			"zeros": func() error { return os.WriteFile(path, make([]byte, 4096), 0o600) },
		} {
			if strings.HasSuffix(path, ".sock") { // not there without a server
				break
			}
			if err := fault(); err != nil {
				t.Fatal(err)
			}
			s := start()
			list := s.Healthz(nil)
			if told := list.StatusCode != 200; told != (c.why == "") {
				t.Errorf("%s %s: told %v: %+v", c.file, name, told, list)
			}
			if c.why == "" {
				times++
				if n := log.Count("JetStream damage"); n != 1 || !strings.Contains(log.Line("JetStream damage"), path) {
					t.Errorf("%s %s: %d lines in the log: %s", c.file, name, n, log)
				}
			}
			servertest.Stop(t, s)
		}
		s = start()
		list, err := core.ListDamage(dir, true)
		if err != nil || (len(list) == 1) != (c.why == "") || len(list) == 1 && (list[0].Times != uint64(times) || list[0].Do == "" || !strings.Contains(list[0].What, path)) {
			t.Errorf("%s: %+v, %v; want %d times", c.file, list, err, times)
		}
		servertest.Stop(t, s)
	}
}
