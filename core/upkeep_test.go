package core

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/testkit"
)

// upkeepServer starts a server that looks after its folder all the time, on a disk
// of which *free is free.
func upkeepServer(t *testing.T, dir string, maxStore int64, free *atomic.Int64) (*Server, *testkit.Log) {
	t.Helper()
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1
	o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, dir, maxStore
	log := new(testkit.Log)
	s, err := New(o, nil, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	s.upkeepEvery = time.Millisecond
	if free != nil {
		s.diskFree = func(string) int64 { return free.Load() }
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, log
}

// refused publishes, and tells whether the limit of the server refuses it.
func refused(t *testing.T, s *Server) bool {
	t.Helper()
	b, err := s.Request(t.Context(), "s", make([]byte, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "10023") {
		return true
	}
	if !strings.Contains(string(b), `"seq"`) {
		t.Fatalf("published: %s", b)
	}
	return false
}

// A limit that nobody configured, of a start at which something else had filled the
// disk, is taken anew when that has gone: publishing goes on, and it is told once.
// A limit that is configured stays.
func TestUpkeep_limit(t *testing.T) {
	for _, configured := range []bool{false, true} {
		var free atomic.Int64
		limit := int64(-1)
		if configured {
			limit = 256 << 10
		}
		s, log := upkeepServer(t, t.TempDir(), limit, &free)
		if b, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(`{"name":"S","subjects":["s"]}`)); err != nil || !strings.Contains(string(b), "did_create") {
			t.Fatalf("%s, %v", b, err)
		}
		n := 0
		for ; !refused(t, s); n++ {
			if n > 200 {
				t.Fatal("the limit of a full disk refuses nothing")
			}
		}
		st := s.store.Load()
		was := st.maxStore.Load()
		free.Store(was / 32) // hardly more
		if !refused(t, s) {
			t.Errorf("configured %v: accepted, and nothing has changed", configured)
		}
		free.Store(50 << 30)
		if configured {
			st.takeLimit(nil)
			if st.room != nil || !refused(t, s) || st.maxStore.Load() != limit {
				t.Errorf("the configured limit of %d is %d now", limit, st.maxStore.Load())
			}
			continue
		}
		testkit.Eventually(t, "publishing goes on when the disk has room", func() bool { return !refused(t, s) })
		if got := st.maxStore.Load(); got < shareDisk(50<<30).streams {
			t.Errorf("the limit was %d and is %d", was, got)
		}
		taken := st.maxStore.Load()
		free.Store(1 << 30)
		free.Store(50 << 30)
		if refused(t, s) || st.maxStore.Load() < taken {
			t.Errorf("the limit fell from %d to %d", taken, st.maxStore.Load())
		}
		if told := log.Count("is taken anew"); told != 1 {
			t.Errorf("told %d times", told)
		}
	}
}

// A control socket that could not be made at the start, or was removed, is made when
// that is possible.
func TestUpkeep_controlSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFolder, controlName)
	if err := os.MkdirAll(path, 0o700); err != nil { // so it can't be made
		t.Fatal(err)
	}
	s, log := upkeepServer(t, dir, 1<<30, nil)
	if _, err := ListDamage(dir, false); !errors.Is(err, ErrNoServer) {
		t.Fatalf("there is a socket: %v", err)
	}
	answers := func() bool {
		_, err := ListDamage(dir, false)
		return err == nil
	}
	for _, what := range []string{"could not be made", "was removed"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "a control socket that "+what+" answers", answers)
	}
	for _, text := range []string{"No control socket", "The control socket is there now", "The control socket was removed"} {
		if n := log.Count(text); n != 1 {
			t.Errorf("%q is told %d times", text, n)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
}
