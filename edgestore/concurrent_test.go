package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// TestFileStore_readersBesideFlushes has readers walk and ask while one
// goroutine mutates and another flushes, with files so small that they roll and
// go all the time. A reader sees each message whole, and in order.
func TestFileStore_readersBesideFlushes(t *testing.T) {
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(t, edgestore.FileOptions{Dir: t.TempDir(), Incarnation: 1, Blobs: blobs, MaxFileBytes: 128 << 10, CacheBytes: 40 << 10})
	total := uint64(rounds(2500, 8000))
	var done atomic.Bool
	flush := make(chan struct{}, 1)
	var wg sync.WaitGroup
	body := func(seq uint64) []byte { return bytes.Repeat([]byte{byte(seq), byte(seq >> 8)}, 60) }
	wg.Go(func() { // flusher
		for range flush {
			if err := s.Flush(); err != nil {
				t.Errorf("flush: %v", err)
				return
			}
		}
	})
	for r := 0; r < 2; r++ {
		wg.Go(func() {
			var buf []byte
			var filters []string
			if r == 1 {
				filters = []string{"k.*"}
			}
			for at := uint64(0); !done.Load(); {
				m, out, err := s.LoadNext(filters, at, buf)
				if errors.Is(err, edgestore.ErrNotFound) {
					at = 0
					continue
				}
				if err != nil {
					t.Errorf("next from %d: %v", at, err)
					return
				}
				if m.Seq < at || !bytes.Equal(m.Body, body(m.Seq)) || m.Subject != fmt.Sprintf("k.%d", m.Seq%40) {
					t.Errorf("next from %d: wrong message %d %q", at, m.Seq, m.Subject)
					return
				}
				buf, at = out, m.Seq+1
			}
		})
	}
	wg.Go(func() {
		for !done.Load() {
			st := s.State()
			if st.Msgs > st.LastSeq+1-st.FirstSeq {
				t.Errorf("state %+v", st)
			}
			if _, ok, err := s.Subject("k.7"); err == nil && ok && edgestore.CountOf(s, []string{"k.7"}, 0, false) > total {
				t.Error("pending")
			}
			if _, err := s.LastPerSubject([]string{"k.1*", "k.2"}, 0, st.LastSeq); err != nil {
				t.Error(err)
			}
		}
	})
	for seq := uint64(1); seq <= total; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: fmt.Sprintf("k.%d", seq%40), Body: body(seq)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
		if st, ok, err := s.Subject(m.Subject); err != nil {
			t.Fatal(err)
		} else if ok && st.Msgs > 20 {
			if _, ok, err := s.Remove(st.First); err != nil || !ok {
				t.Fatalf("remove %d of %q: %v, %v", st.First, m.Subject, ok, err)
			}
		}
		if seq%3 == 0 && seq > 300 {
			if _, _, err := s.Remove(seq - 250); err != nil {
				t.Fatal(err)
			}
		}
		if seq%97 == 0 {
			s.Seal(edgestore.LSN(seq), edgestore.Chain{}, nil)
			select {
			case flush <- struct{}{}:
			default:
			}
		}
	}
	close(flush)
	done.Store(true)
	wg.Wait()
	s.Seal(edgestore.LSN(total), edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if d := s.Damage(); len(d) > 0 {
		t.Fatalf("damage %v", d)
	}
	want := s.State()
	n, at := uint64(0), uint64(0)
	for {
		m, _, err := s.LoadNext(nil, at, nil)
		if err != nil {
			break
		}
		n, at = n+1, m.Seq+1
	}
	if n != want.Msgs {
		t.Fatalf("%d messages, the state says %d", n, want.Msgs)
	}
}
