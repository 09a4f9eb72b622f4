package jetstream

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Two things bound what streams in files may take. The limits (max_bytes,
// max_file, an account's) count the bytes of messages, as users do. The disk's
// guard looks at what is really there: chunks with what is around them, subjects
// and message ids, the journal. It is the journal's (Options.SharedDisk): it
// makes no other segment when that and its drain would take the reserve, which
// is for what must go on when the disk is full. max_disk and disk_reserve make
// the disk smaller for it (diskguard.go). An answer says which of the two refused.

// diskUse is what the files of streams take.
type diskUse struct{ stores, journal int64 }

// measureDisk counts both as countFiles does.
func measureDisk(dir, journalDir string) (u diskUse, err error) {
	var failed error
	u.stores, err = countFiles(dir, journalDir)
	u.journal, failed = countFiles(journalDir, "")
	return u, cmp.Or(err, failed)
}

// FileBytes is what the files below the engine's folder take. Of stores it is what
// they had when they were opened: the recovery looks at each, and to look at very
// many folders once more takes long. What lies beside the folders of streams is not
// in it.
func (e *Engine) FileBytes() int64 {
	n, _ := countFiles(e.cfg.Dir, filepath.Join(e.cfg.Dir, streamsFolder))
	n += e.cfg.files.Found()
	e.mu.RLock()
	offline := slices.Collect(maps.Keys(e.mu.offline))
	e.mu.RUnlock()
	for _, inc := range offline {
		there, _ := countFiles(e.cfg.backend.where(inc), "")
		n += there
	}
	return n
}

// countFiles is what the files below root take, but for those below not. Those
// that come and go meanwhile may be missing. An error says that more is missing:
// what could not be looked at does not count.
func countFiles(root, not string) (n int64, err error) {
	if not != "" {
		not = filepath.Clean(not)
	}
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, failed error) error {
		switch {
		case failed != nil:
			err = cmp.Or(err, unlessGone(failed))
		case entry.IsDir() && path == not:
			return filepath.SkipDir
		case entry.IsDir():
		default:
			info, failed := entry.Info()
			if failed != nil {
				err = cmp.Or(err, unlessGone(failed))
				return nil
			}
			n += info.Size()
		}
		return nil
	})
	return n, err
}

// unlessGone is err, if it is not that there is no such file.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pinning names the streams that keep operations in the journal because they
// are stopped.
func (e *Engine) pinning() (names []string) {
	e.mu.RLock()
	for _, o := range e.mu.offline {
		if o.from != 0 {
			names = append(names, fmt.Sprintf("%q", o.name))
		}
	}
	e.mu.RUnlock()
	for _, s := range e.allStreams() {
		s.mu.RLock()
		if s.failed != nil && s.undrainedLocked() != 0 {
			names = append(names, fmt.Sprintf("%q", s.name))
		}
		s.mu.RUnlock()
	}
	slices.Sort(names)
	return names
}

// diskText says what takes the room of a full disk.
func (e *Engine) diskText() string {
	u, err := measureDisk(e.cfg.Dir, e.cfg.journalDir())
	messages := e.quota.used[usageIndex(false)].Load()
	text := []string{fmt.Sprintf("streams hold %d bytes of messages in files of %d bytes, the journal's files are %d bytes", messages, u.stores, u.journal)}
	if err != nil {
		text = append(text, fmt.Sprintf("not all files could be counted: %v", err))
	}
	if limit := e.quota.limit[usageIndex(false)].Load(); limit > 0 {
		did := "did not refuse"
		if e.quota.over(usageIndex(false)) {
			did = "is reached too"
		}
		text = append(text, fmt.Sprintf("the limit max_file of %d bytes %s", limit, did))
	}
	if names := e.pinning(); len(names) > 0 {
		text = append(text, "the journal keeps the operations of streams that are stopped, repair or delete them: "+strings.Join(names, ", "))
	}
	if g := e.cfg.guard.text(); g != "" {
		text = append(text, g)
	}
	return strings.Join(text, "; ")
}
