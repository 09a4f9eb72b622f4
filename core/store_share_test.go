package core

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
)

// The limit of streams is reached before the disk is full: it, and a fifth more
// for what stores put around messages, fit beside the journal.
func TestShareDisk_leavesTheJournalItsShare(t *testing.T) {
	for _, mb := range []int64{16, 64, 400, 8 << 10, 1 << 20} {
		total := mb << 20
		d := shareDisk(total)
		journal := 2*d.drain + 6*d.segment
		if d.streams <= 0 || d.streams+d.streams/5+journal > total {
			t.Errorf("%d MB: streams get %d, the journal may take %d", mb, d.streams, journal)
		}
		if d.segment < 1<<20 || d.segment%(1<<20) != 0 || d.drain < d.segment || d.file < 4<<20 {
			t.Errorf("%d MB: %+v", mb, d)
		}
	}
}

// Where nothing is said streams may take a share of the disk, whatever they have
// taken of it already.
func TestStore_limitWhenNothingIsSaid(t *testing.T) {
	const most = 64 << 20
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1
	o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxDisk = true, t.TempDir(), most
	for range 2 {
		s, err := New(o, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if got, want := s.store.Load().maxStore.Load(), shareDisk(most).streams; got != want {
			t.Errorf("streams may take %d, want %d", got, want)
		}
		for more, code := range []string{"10047", `"did_create":true`} { // one byte too many, and all there is
			config := fmt.Sprintf(`{"name":"S","max_bytes":%d}`, shareDisk(most).streams+1-int64(more))
			if b, err := s.Request(t.Context(), "$JS.API.STREAM.CREATE.S", []byte(config)); !strings.Contains(string(b), code) {
				t.Errorf("%s: %s, %v", config, b, err)
			}
		}
		if b, err := s.Request(t.Context(), "$JS.API.STREAM.DELETE.S", nil); !strings.Contains(string(b), "true") {
			t.Errorf("%s, %v", b, err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
