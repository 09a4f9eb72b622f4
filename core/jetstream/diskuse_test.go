package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEngine_fileBytes: a start knows what all files take without a look at each,
// whatever lies in the folders of streams.
func TestEngine_fileBytes(t *testing.T) {
	d := newDevice(t, 3)
	d.change = func(c *Config) { c.StoreFileBytes = 256 << 10 }
	e, b := d.open()
	for i, name := range []string{"SMALL", "LARGE", "IDS", "GONE", "STRAY", "OFFLINE"} {
		mustStream(t, b, fmt.Sprintf("name=%q subjects=[%s.>]", name, name))
		n := []int{1, 40, 40, 1, 1, 1}[i]
		for k := range n {
			var id []string
			if name == "IDS" {
				id = []string{"Nats-Msg-Id", fmt.Sprint(k)}
			}
			if a := b.publish(t, name+".a", strings.Repeat("x", n*400), id...); a.Error != nil {
				t.Fatal(a.Error)
			}
			if n > 1 && k%10 == 9 {
				if err := e.drain.drain(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	folder := func(name string) string { return e.cfg.backend.where(e.account("A").stream(name).incarnation) }
	stray, offline, ids, large := folder("STRAY"), folder("OFFLINE"), folder("IDS"), folder("LARGE")
	b.request(t, "$JS.API.STREAM.DELETE.GONE", "", "")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for dir, least := range map[string]int{ids: 2, large: 2} {
		if list, err := os.ReadDir(dir); err != nil || len(list) < least {
			t.Fatalf("%s has %d files, %v", dir, len(list), err)
		}
	}
	unknown := filepath.Join(d.dir, streamsFolder, "999")
	write := func(path string, n int) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(stray, "a file of somebody"), 12345)
	write(filepath.Join(unknown, "another"), 777)
	// A stream that is not opened: its file is that of another one.
	other, err := os.ReadFile(filepath.Join(stray, "00000001.chunks"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(offline, "00000001.chunks"), other, 0o600); err != nil {
		t.Fatal(err)
	}

	e, _ = d.open()
	if n := len(e.mu.offline); n != 1 {
		t.Errorf("%d streams are offline", n)
	}
	want, err := countFiles(d.dir, "")
	if got := e.FileBytes(); err != nil || got != want {
		t.Errorf("%d bytes are known, the files have %d, %v", got, want, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
