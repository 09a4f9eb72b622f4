package edgestore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"
)

// failSyncs makes the syncs of a bbolt file fail, the real ones: its descriptor
// becomes that of a pipe, which has nothing to sync, and what is written goes to
// the file all the same. With meta only the sync behind the meta page fails.
func failSyncs(t *testing.T, db *bbolt.DB, meta bool) (restore func()) {
	t.Helper()
	file := (*os.File)(unsafe.Pointer(reflect.ValueOf(db).Elem().FieldByName("file").Pointer()))
	fd := int(file.Fd())
	saved, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	swap := func(to int) {
		if err := syscall.Dup3(to, fd, syscall.O_CLOEXEC); err != nil {
			t.Error(err)
		}
	}
	ops := reflect.ValueOf(db).Elem().FieldByName("ops").Field(0)
	write := (*func(b []byte, off int64) (int, error))(unsafe.Pointer(ops.UnsafeAddr()))
	old := *write
	*write = func(b []byte, off int64) (int, error) {
		if meta && off < 2*boltPageSize {
			swap(pipe[0])
		}
		return syscall.Pwrite(saved, b, off)
	}
	if !meta {
		swap(pipe[0])
	}
	return func() {
		swap(saved)
		*write = old
		for _, d := range []int{saved, pipe[0], pipe[1]} {
			syscall.Close(d)
		}
	}
}

type memBlobs struct{ b []byte }

func (m *memBlobs) Read(at Location, buf []byte) ([]byte, error) {
	return append(buf[:0], m.b[at.Offset:at.Offset+int64(at.Length)]...), nil
}

func (m *memBlobs) Recent(_ Location, buf []byte) ([]byte, bool) { return buf, false }

func (m *memBlobs) add(msg *Msg) Location {
	at := len(m.b)
	m.b = AppendBlob(m.b, []byte(msg.Subject), msg.Header, msg.Body)
	return Location{Segment: 1, Offset: int64(at), Length: uint32(len(m.b) - at)}
}

// Each sync of a commit is waited for: a flush whose sync of the data or of the
// meta page failed has failed, and the next one does not touch that file.
func TestFileStore_realSyncFails(t *testing.T) {
	for _, meta := range []bool{false, true} {
		t.Run(fmt.Sprint("meta ", meta), func(t *testing.T) {
			blobs := new(memBlobs)
			o := FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs}
			st, err := OpenFileStore(o)
			if err != nil {
				t.Fatal(err)
			}
			s := st.(*fileStore)
			last := uint64(0)
			flush := func(n int) error {
				for range n {
					last++
					m := Msg{Seq: last, Time: int64(last), Subject: "s", Body: bytes.Repeat([]byte{byte(last)}, 500)}
					if err := s.Append(&m, blobs.add(&m)); err != nil {
						t.Fatal(err)
					}
				}
				s.Seal(LSN(last), Chain{}, nil)
				return s.Flush()
			}
			for range 2 {
				if err := flush(50); err != nil {
					t.Fatal(err)
				}
			}
			restore := failSyncs(t, s.files.head.db, meta)
			err = flush(10)
			restore()
			if err == nil || s.Applied() != 100 {
				t.Fatalf("flush: %v, applied %d", err, s.Applied())
			}
			if err := flush(5); err != nil || s.Applied() != 115 || s.files.headID() != 2 {
				t.Fatalf("the next flush: %v, applied %d, file %d", err, s.Applied(), s.files.headID())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			st, err = OpenFileStore(o)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			for seq := uint64(1); seq <= last; seq++ {
				if m, _, err := st.Load(seq, nil); err != nil || m.Body[0] != byte(seq) {
					t.Fatalf("message %d: %v", seq, err)
				}
			}
		})
	}
}
