package edgestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/frondmq/frond/edgestore/vfs"
)

// CorruptError says which file is damaged, where, and what refused it. It is
// of class ErrCorrupt.
type CorruptError struct {
	File   string
	Place  string
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: %s: %s: data is damaged", e.File, e.Place, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// boltFile is one bbolt file. Nothing reads or writes a bbolt file but through
// it: bbolt maps files and trusts its pages, which have no checksums, so a
// damaged page may be a fault, a panic or nonsense. view and update turn the
// first two into errors; callers check what they get.
type boltFile struct {
	path     string
	readOnly bool

	mu  sync.RWMutex // held for reading while db is used
	db  *bbolt.DB    // nil: not open now
	bad error        // closed for good
	// stuck is a panic in an update: bbolt may hold its write locks for ever.
	stuck error
}

const (
	boltPageSize    = 4096 // the same on every machine, so that files can move
	boltLockTimeout = 2 * time.Second
	boltAlloc       = 1 << 20
)

// guard runs f with faults turned into panics, and panics into errors.
func guard(path, place string, f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = &CorruptError{path, place, fmt.Sprintf("panic: %v", r)}
		}
	}()
	return f()
}

// openDB opens a bbolt file whose branch pages are sane.
//
// The freelist is synced: without it bbolt rebuilds it at every open from all
// pages, in a goroutine of its own where a fault cannot be caught.
func openDB(path string, readOnly bool) (db *bbolt.DB, err error) {
	err = guard(path, "open", func() error {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			if err := checkTree(path); err != nil {
				return err
			}
		}
		var err error
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: boltLockTimeout, PageSize: boltPageSize, ReadOnly: readOnly,
			FreelistType: bbolt.FreelistMapType, NoStatistics: true,
		})
		if db != nil {
			db.AllocSize = boltAlloc
		}
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, &CorruptError{path, "meta pages", err.Error()}
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	case errors.Is(err, fs.ErrNotExist):
		return nil, &CorruptError{path, "open", "file is missing"}
	}
	return nil, fmt.Errorf("open %s: %w", path, err)
}

// createBolt makes a new file under a temporary name; finish gives it its own.
// A power cut on the way leaves nothing, or a temporary file.
func createBolt(path string) (*boltFile, error) {
	tmp := path + tmpSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := openDB(tmp, false)
	if err != nil {
		return nil, err
	}
	return &boltFile{path: tmp, db: db}, nil
}

const tmpSuffix = ".tmp"

// finish closes a file made by createBolt and gives it its name, durably.
func (b *boltFile) finish(path string) error {
	if err := b.close(); err != nil {
		return err
	}
	if err := os.Rename(b.path, path); err != nil {
		return err
	}
	b.path = path
	return vfs.OS{}.SyncDir(filepath.Dir(path))
}

func (b *boltFile) discard() {
	_ = b.close()
	_ = os.Remove(b.path)
}

// acquire holds the file open; the caller releases b.mu for reading.
func (b *boltFile) acquire() error {
	for {
		b.mu.RLock()
		if b.bad != nil {
			b.mu.RUnlock()
			return b.bad
		}
		if b.db != nil {
			return nil
		}
		b.mu.RUnlock()
		if err := b.open(); err != nil {
			return err
		}
	}
}

func (b *boltFile) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.db != nil || b.bad != nil {
		return b.bad
	}
	db, err := openDB(b.path, b.readOnly)
	b.db = db
	return err
}

// view runs f in a read transaction. What f takes out of it must be copied.
func (b *boltFile) view(place string, f func(tx *bbolt.Tx) error) error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.mu.RUnlock()
	return guard(b.path, place, func() error { return b.db.View(f) })
}

// update runs f in a write transaction and commits it durably.
func (b *boltFile) update(place string, f func(tx *bbolt.Tx) error) error {
	if err := b.acquire(); err != nil {
		return err
	}
	if b.stuck != nil {
		defer b.mu.RUnlock()
		return b.stuck
	}
	panicked := true
	err := guard(b.path, place, func() error {
		err := b.db.Update(f)
		panicked = false
		return err
	})
	b.mu.RUnlock()
	if panicked {
		b.mu.Lock()
		b.stuck = err
		b.mu.Unlock()
	}
	return err
}

// close closes the file; who uses it next opens it again.
func (b *boltFile) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closeLocked()
}

func (b *boltFile) closeLocked() error {
	if b.db == nil {
		return nil
	}
	db := b.db
	b.db = nil
	if b.stuck != nil {
		// Close would wait for the locks too: the file stays open instead.
		return b.stuck
	}
	return guard(b.path, "close", db.Close)
}

// retire closes a file that is only read from now on.
func (b *boltFile) retire() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readOnly = true
	return b.closeLocked()
}

// shut closes a file for good.
func (b *boltFile) shut() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.closeLocked()
	if b.bad == nil {
		b.bad = fmt.Errorf("%s: %w", b.path, ErrClosed)
	}
	return err
}

func (b *boltFile) size() int64 {
	info, err := os.Stat(b.path)
	if err != nil {
		return 0
	}
	return info.Size()
}
