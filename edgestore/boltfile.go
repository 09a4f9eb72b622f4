package edgestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
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

// corrupt says where err, of class ErrCorrupt, was found.
func corrupt(file, place string, err error) error {
	return &CorruptError{file, place, strings.TrimSuffix(err.Error(), ": "+ErrCorrupt.Error())}
}

// boltFile is one bbolt file. Nothing reads or writes a bbolt file but through
// it: bbolt maps files and trusts its pages, which have no checksums, so a
// damaged page may be a fault, a panic or nonsense. view and update turn the
// first two into errors; callers check what they get.
type boltFile struct {
	path     string
	readOnly bool
	hooks    *FileOptions // who hears of it and may make it fail; the pool and the disk

	mu  sync.RWMutex // held for reading while db is used
	db  *bbolt.DB    // nil: not open now
	bad error        // closed for good
	// stuck is a panic in an update: bbolt may hold its write locks for ever.
	stuck error
	// suspect is a failed write, sync or commit: nobody knows what of it is on
	// the disk, and bbolt may show what is not. The file is only read since.
	suspect error
}

func (o *FileOptions) toldRead(err error) {
	if o.ReadFailed != nil {
		o.ReadFailed(err)
	}
}

func (o *FileOptions) toldWrite(err error) {
	if o.WriteFailed != nil && !noSpace(err) {
		o.WriteFailed(err)
	}
}

func (o *FileOptions) mayRead(path, place string) error {
	if o.BeforeRead == nil {
		return nil
	}
	return o.BeforeRead(path, place)
}

const (
	boltPageSize    = 4096 // the same on every machine, so that files can move between those of one byte order
	boltLockTimeout = 2 * time.Second
	boltAlloc       = 1 << 20
	// readTries is how often a failed read is tried before it is an error.
	readTries = 3
)

// faultError is a mapped page that could not be read.
type faultError struct {
	path, place string
	addr        uintptr
}

func (e *faultError) Error() string { return fmt.Sprintf("%s: %s: page fault", e.path, e.place) }

// Is: unless somebody finds out better, a fault is damage.
func (e *faultError) Is(target error) bool { return target == ErrCorrupt }

// guard runs f with faults turned into panics, and panics into errors.
func guard(path, place string, f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			if f, ok := r.(interface{ Addr() uintptr }); ok {
				err = &faultError{path, place, f.Addr()}
				return
			}
			err = &CorruptError{path, place, fmt.Sprintf("panic: %v", r)}
		}
	}()
	return f()
}

// openDB opens a bbolt file whose branch pages are sane.
//
// The freelist is synced: without it bbolt rebuilds it at every open from all
// pages, in a goroutine of its own where a fault cannot be caught.
func openDB(path string, readOnly bool, hooks *FileOptions) (db *bbolt.DB, err error) {
	if err := hooks.mayRead(path, "open"); err != nil {
		return nil, &ioError{path, "open", err}
	}
	err = guard(path, "open", func() error {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return &ioError{path, "open", err}
		case !info.Mode().IsRegular():
			return &CorruptError{path, "open", "not a file"}
		case info.Size() == 0: // bbolt would begin a new one
			return &CorruptError{path, "open", "the file is empty"}
		default:
			if err := checkTree(path); err != nil {
				return err
			}
		}
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
func createBolt(path string, hooks *FileOptions) (*boltFile, error) {
	tmp := path + tmpSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := openDB(tmp, false, hooks)
	if err != nil {
		return nil, err
	}
	b := &boltFile{path: tmp, db: db, hooks: hooks}
	b.mu.Lock()
	hooks.Files.opening(b)
	b.mu.Unlock()
	return b, nil
}

const (
	tmpSuffix = ".tmp"
	// unsureSuffix marks a file of which a commit failed: what it shows may not
	// be on the disk. The mark needs no sync. A power cut that takes it away
	// takes away what was shown and not on the disk too.
	unsureSuffix = ".unsure"
)

// errName is the failed sync of a folder: the file is whole under its new name,
// which may not be on the disk.
type errName struct{ error }

func (e errName) Unwrap() error { return e.error }

// finish closes a file made by createBolt and gives it its name, durably.
func (b *boltFile) finish(path string) error {
	if err := b.close(); err != nil {
		return err
	}
	if err := b.hooks.Disk.Rename(b.path, path); err != nil {
		return err
	}
	b.path = path
	if err := b.hooks.Disk.SyncDir(filepath.Dir(path)); err != nil {
		return errName{err}
	}
	return nil
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
			b.hooks.Files.used(b)
			return nil
		}
		b.mu.RUnlock()
		if err := b.open(); err != nil {
			return err
		}
	}
}

// mayReadAux asks the test's hook for each of the values that are in memory.
func (b *boltFile) mayReadAux(list []Aux) bool {
	for i := range list {
		if b.hooks.mayRead(b.path, "aux "+list[i].Key) != nil {
			return false
		}
	}
	return true
}

func (b *boltFile) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.db != nil || b.bad != nil {
		return b.bad
	}
	if b.stuck != nil {
		return b.stuck
	}
	b.hooks.Files.opening(b) // first, so that there is a descriptor for it
	db, err := openDB(b.path, b.readOnly, b.hooks)
	if b.db = db; db == nil {
		b.hooks.Files.closed(b)
	}
	return err
}

// view runs f in a read transaction. What f takes out of it must be copied. A
// read error is tried again, so f may run more than once.
func (b *boltFile) view(place string, f func(tx *bbolt.Tx) error) error {
	for try := 1; ; try++ {
		err := b.viewOnce(place, f)
		if err == nil || isCorrupt(err) || errors.Is(err, ErrClosed) || errors.Is(err, ErrLocked) || !isIO(err) {
			return err
		}
		b.hooks.toldRead(err)
		if try == readTries {
			return err
		}
	}
}

// ioError is a read that failed, which says nothing about the data.
type ioError struct {
	path, place string
	err         error
}

func (e *ioError) Error() string { return fmt.Sprintf("%s: %s: %v", e.path, e.place, e.err) }
func (e *ioError) Unwrap() error { return e.err }

func isIO(err error) bool {
	var e *ioError
	return errors.As(err, &e)
}

func (b *boltFile) viewOnce(place string, f func(tx *bbolt.Tx) error) error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.mu.RUnlock()
	if err := b.hooks.mayRead(b.path, place); err != nil {
		return &ioError{b.path, place, err}
	}
	err := guard(b.path, place, func() error { return b.db.View(f) })
	return b.explain(err)
}

// explain finds out what a fault in the map was: a page that the disk does not
// give, or an address that damage has made up. The caller holds b.mu.
func (b *boltFile) explain(err error) error {
	var fault *faultError
	if !errors.As(err, &fault) || b.db == nil {
		return err
	}
	base := b.db.Info().Data
	file, oerr := os.Open(b.path)
	if oerr != nil {
		return &ioError{b.path, fault.place, oerr}
	}
	defer file.Close()
	info, serr := file.Stat()
	if serr != nil {
		return &ioError{b.path, fault.place, serr}
	}
	off := int64(fault.addr - base)
	if fault.addr < base || off >= info.Size() {
		return &CorruptError{b.path, fault.place, "the file is too short"}
	}
	if _, rerr := file.ReadAt(make([]byte, 1), off); rerr != nil {
		return &ioError{b.path, fault.place, rerr}
	}
	return &ioError{b.path, fault.place, errors.New("a page could not be read at once")}
}

// update runs f in a write transaction and commits it durably. When that fails
// the file is suspect: see there. Only a full disk, of which nothing became
// visible, and an error of f itself leave it as it was.
func (b *boltFile) update(place string, f func(tx *bbolt.Tx) error) error {
	if err := b.acquire(); err != nil {
		return err
	}
	if err := errors.Join(b.stuck, b.suspect); err != nil {
		defer b.mu.RUnlock()
		return err
	}
	err, harmless, panicked := b.updateOnce(place, f)
	b.mu.RUnlock()
	if err == nil || harmless {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if panicked {
		b.stuck = err
	}
	b.suspect = fmt.Errorf("%s is only read since a write failed: %w", filepath.Base(b.path), err)
	if !strings.HasSuffix(b.path, tmpSuffix) {
		b.mark()
	}
	return err
}

// mark makes the next open distrust the file. When there is no mark to be made
// the disk takes nothing any more, and the next open notices that itself.
func (b *boltFile) mark() {
	if m, err := b.hooks.Disk.Create(b.path + unsureSuffix); err == nil {
		_ = m.Close()
	}
}

func (b *boltFile) updateOnce(place string, f func(tx *bbolt.Tx) error) (err error, harmless, panicked bool) {
	if b.hooks.BeforeWrite != nil {
		if err := b.hooks.BeforeWrite(place); err != nil {
			return err, noSpace(err), false
		}
	}
	var ferr error
	var before, after int
	panicked = true
	err = guard(b.path, place, func() error {
		err := b.db.Update(func(tx *bbolt.Tx) error {
			before = tx.ID() - 1
			ferr = f(tx)
			return ferr
		})
		panicked = false
		return err
	})
	if panicked {
		return err, false, true
	}
	if err == nil && b.hooks.AfterWrite != nil {
		return b.hooks.AfterWrite(place), false, false
	}
	if err == nil || ferr != nil {
		return err, true, false
	}
	_ = guard(b.path, place, func() error {
		return b.db.View(func(tx *bbolt.Tx) error { after = tx.ID(); return nil })
	})
	return err, noSpace(err) && after == before, false
}

// dropMark removes the mark of a file that nobody trusts any more.
func (b *boltFile) dropMark() error {
	if err := os.Remove(b.path + unsureSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// failed is the write that made the file suspect.
func (b *boltFile) failed() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.suspect
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
	b.hooks.Files.closed(b)
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
