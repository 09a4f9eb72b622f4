package jetstream

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// diskGuard is the file system of the journal with less room than the disk has:
// it leaves reserve bytes of it alone, and lets everything below dir take most
// bytes. The journal stops taking messages when what is free would not hold its
// drain, so what must go on has the room that is left then, as on a full disk.
type diskGuard struct {
	vfs.FS
	dir, journalDir string
	reserve, most   int64 // 0: none
	logger          *slog.Logger

	mu     sync.Mutex
	until  time.Time // used holds
	used   int64
	made   int64     // at most so much came since, of the journal and its drains
	capped bool      // most left less than the disk
	failed error     // of the last count: then more may be used
	said   time.Time // when the log was told of one last
}

// A count of the files holds for countHolds times what it took: there may be
// many.
const countHolds = 5

// madeMeans is how many times its size a file that the journal made may add to what
// is in use: itself, and what the stores make of what was drained before.
const madeMeans = 3

func (g *diskGuard) Free(dir string) (int64, error) {
	free, err := g.FS.Free(dir)
	if err != nil {
		return free, err
	}
	if free >= 0 {
		free = max(free-g.reserve, 0)
	}
	if g.most <= 0 {
		return free, nil
	}
	g.recount()
	g.mu.Lock()
	defer g.mu.Unlock()
	left := max(g.most-g.used-g.made, 0)
	if g.capped = free < 0 || left < free; g.capped {
		free = left
	}
	return free, nil
}

// Rename implements vfs.FS: it is how the journal gets another file.
func (g *diskGuard) Rename(from, to string) error {
	if err := g.FS.Rename(from, to); err != nil || g.most <= 0 {
		return err
	}
	n, err := g.size(to)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.made += madeMeans * n; err != nil {
		g.until = time.Time{}
	}
	return nil
}

// recount counts when the last count is old, and when what came since may be what
// the limit turns on: a disk that is slow to count fills meanwhile. Nobody who is refused meanwhile
// waits for the disk, so it holds no lock; two who count at once do no harm.
func (g *diskGuard) recount() {
	begin := time.Now()
	g.mu.Lock()
	made := g.made
	due := !begin.Before(g.until) || made > 0 && g.most-g.used-made < g.most/2
	g.mu.Unlock()
	if !due {
		return
	}
	used, err := g.count()
	end := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed = err; err != nil {
		used = max(used, g.used) // what could not be looked at is there still
		if g.said.IsZero() || end.Sub(g.said) >= time.Minute {
			g.said = end
			g.logger.Warn("JetStream disk: not all files could be counted, max_disk goes by the last count", "in use", used, "err", err)
		}
	}
	g.made = max(g.made-made, 0) // what was made meanwhile may not be in it
	g.used, g.until = used, end.Add(countHolds*end.Sub(begin))
}

// count is what all files take. Those of the journal may be in a file system of
// their own. An error says that some could not be looked at.
func (g *diskGuard) count() (int64, error) {
	used, err := countFiles(g.dir, g.journalDir)
	names, failed := g.FS.List(g.journalDir)
	err = cmp.Or(err, unlessGone(failed))
	for _, name := range names {
		n, failed := g.size(filepath.Join(g.journalDir, name))
		used += n
		err = cmp.Or(err, unlessGone(failed))
	}
	return used, err
}

func (g *diskGuard) size(path string) (int64, error) {
	f, err := g.FS.Open(path)
	if err != nil {
		return 0, err
	}
	n, err := f.Size()
	_ = f.Close()
	return n, err
}

// text says what the guard leaves of the disk, "" when that is all of it.
func (g *diskGuard) text() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.capped && g.failed != nil:
		return fmt.Sprintf("max_disk of %d bytes leaves no room beside the reserve: %d are in use by the last count, for not all files could be counted now: %v", g.most, g.used, g.failed)
	case g.capped:
		return fmt.Sprintf("max_disk of %d bytes leaves no room beside the reserve: %d are in use", g.most, g.used)
	case g.reserve > 0:
		return fmt.Sprintf("disk_reserve leaves %d bytes of the disk alone", g.reserve)
	}
	return ""
}

// fullError is what a publisher is told when the disk's guard refuses; that it
// is no limit of a stream, an account or the server.
type fullError struct{ text string }

func (e *fullError) Error() string { return e.text }

func (e *fullError) Is(target error) bool { return target == edgestore.ErrDiskFull }
