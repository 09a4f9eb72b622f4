package jetstream

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// storeFaults makes calls on the files of the stores or of the catalogue fail.
// bbolt works on real files, so its calls are failed at the hooks of edgestore:
// a write (and the truncate that makes a file longer, which fails a transaction
// in the same way) before the transaction, a sync behind it.
type storeFaults struct {
	dir  string
	disk *vfs.Faults

	mu    sync.Mutex
	fault *storeFault // armed, or nil
	calls int
	// before are the files as they were before the transactions whose sync failed.
	before map[string]storeFile
	during map[string]storeFile // before the transaction under way
}

// storeFile is what a file was.
type storeFile struct {
	content []byte
	info    fs.FileInfo
	after   []byte // as the transaction left it
}

// storeFault is which call fails.
type storeFault struct {
	op         vfs.Op
	catalogue  bool // of catalogue.db, else of streams
	nth, count int
}

var errStoreFault = &os.PathError{Op: "fault", Path: "store", Err: syscall.EIO}

func newStoreFaults(dir string) *storeFaults {
	return &storeFaults{dir: dir, disk: vfs.WithFaults(vfs.OS{})}
}

func (f *storeFaults) arm(x *storeFault) {
	f.mu.Lock()
	f.fault, f.calls, f.before, f.during = x, 0, nil, nil
	f.mu.Unlock()
	f.disk.SetHook(nil)
	if x != nil && (x.op == vfs.OpRename || x.op == vfs.OpSyncDir || x.op == vfs.OpRemove) {
		f.disk.SetHook(func(c vfs.Call) error {
			if c.Op != x.op {
				return nil
			}
			return f.call(c.Op, x.catalogue)
		})
	}
}

// call counts a call and tells whether it fails.
func (f *storeFaults) call(op vfs.Op, catalogue bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil || f.fault.catalogue != catalogue {
		return nil
	}
	if op == vfs.OpWrite && f.fault.op == vfs.OpSync {
		f.during = nil
		if next := f.calls + 1; next >= f.fault.nth && next-f.fault.nth < f.fault.count {
			f.during = readTree(f.dir, f.suffix())
		}
	}
	if f.fault.op != op {
		return nil
	}
	f.calls++
	if f.calls < f.fault.nth || f.calls-f.fault.nth >= f.fault.count {
		return nil
	}
	if op == vfs.OpSync {
		f.keepChanged()
	}
	return errStoreFault
}

// keepChanged keeps what the file was whose transaction fails now. What is
// written behind it goes to another file, or is on the disk.
func (f *storeFaults) keepChanged() {
	for name, now := range readTree(f.dir, f.suffix()) {
		was, ok := f.during[name]
		if !ok || !os.SameFile(was.info, now.info) || string(was.content) == string(now.content) {
			continue
		}
		was.after = now.content
		if f.before == nil {
			f.before = make(map[string]storeFile)
		}
		f.before[name] = was
	}
}

// struck tells whether a call failed.
func (f *storeFaults) struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault != nil && f.calls >= f.fault.nth
}

func (f *storeFaults) suffix() string {
	if f.fault.catalogue {
		return ".db"
	}
	return ".chunks"
}

// unsynced leaves in dir, a picture of the disk, what a power cut may leave of
// the transaction whose last sync failed.
func (f *storeFaults) unsynced(t testing.TB, rnd *rand.Rand, dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == nil || f.fault.op != vfs.OpSync || f.calls < f.fault.nth {
		return
	}
	for name, was := range f.before {
		path := filepath.Join(dir, name)
		now, err := os.ReadFile(path)
		if err != nil || string(now) != string(was.after) {
			continue // written to since, so another sync came behind it
		}
		if info, err := os.Stat(filepath.Join(f.dir, name)); err != nil || !os.SameFile(info, was.info) {
			continue // made anew since
		}
		kept := 0
		for at := 0; at < min(metaPages*diskPage, len(was.content), len(now)); at += diskPage {
			if rnd.IntN(2) == 0 {
				kept++
			} else {
				copy(now[at:at+diskPage], was.content[at:])
			}
		}
		if rnd.IntN(2) == 0 {
			os.Remove(path + ".unsure") // its name was not on the disk
		}
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("of a transaction in %s %d of %d meta pages reached the disk", name, kept, metaPages)
	}
}

// metaPages is what a transaction writes and syncs last: the rest of it was
// synced before.
const metaPages = 2

// readTree reads the files with a suffix below dir.
func readTree(dir, suffix string) map[string]storeFile {
	m := make(map[string]storeFile)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, suffix) {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			if info, err := e.Info(); err == nil {
				name, _ := filepath.Rel(dir, path)
				m[name] = storeFile{content: b, info: info}
			}
		}
		return nil
	})
	return m
}

// chaosBackend is the disk with faults in the files of stores and catalogue.
type chaosBackend struct {
	diskBackend
	f *storeFaults
}

func (b chaosBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	o := b.storeOptions(cfg, blobs, w)
	o.Disk = b.f.disk
	o.BeforeWrite = func(string) error { return b.f.call(vfs.OpWrite, false) }
	o.AfterWrite = func(string) error { return b.f.call(vfs.OpSync, false) }
	o.BeforeRead = func(string, string) error { return b.f.call(vfs.OpRead, false) }
	return edgestore.OpenFileStore(o)
}

func (b chaosBackend) table() (table, error) {
	o := b.tableOptions()
	o.Disk = b.f.disk
	o.BeforeWrite = func(string) error { return b.f.call(vfs.OpWrite, true) }
	o.AfterWrite = func(string) error { return b.f.call(vfs.OpSync, true) }
	o.BeforeRead = func(string, string) error { return b.f.call(vfs.OpRead, true) }
	t, err := edgestore.OpenTableFile(o)
	if err != nil {
		return nil, err
	}
	return t, nil
}
