package jetstream

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/frondmq/frond/core/jetstream/damage"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// diskWatch listens to the journal: it knows whether the disk is full or stuck,
// and has the rest put into the register of damage.
type diskWatch struct {
	logger *slog.Logger
	report func(Damage)
	use    func() string // what takes the room; nil: nobody knows
	mu     struct {
		sync.Mutex
		full, stalled, unprepared error
	}
}

// watch puts itself in front of who listens to the journal already.
func (r *diskWatch) watch(ev *journal.Events) {
	was := *ev
	r.watchFaults(ev, was)
	ev.Full = func(err error) {
		said := err
		if r.use != nil {
			said = fmt.Errorf("%w (%s)", err, r.use())
		}
		r.set(&r.mu.full, said)
		r.logger.Error("JetStream disk full: publishing to streams in files is refused until there is room", "err", said)
		if was.Full != nil {
			was.Full(err)
		}
	}
	ev.Roomy = func() {
		r.set(&r.mu.full, nil)
		r.logger.Info("JetStream disk has room again: publishing goes on")
		if was.Roomy != nil {
			was.Roomy()
		}
	}
	ev.Unprepared = func(err error) {
		r.set(&r.mu.unprepared, err)
		r.logger.Error("JetStream disk: publishing to streams in files is refused when the journal's last file is full", "err", err)
		if was.Unprepared != nil {
			was.Unprepared(err)
		}
	}
	ev.Prepared = func() {
		r.set(&r.mu.unprepared, nil)
		r.logger.Info("JetStream disk: the journal has its files again")
		if was.Prepared != nil {
			was.Prepared()
		}
	}
	ev.Stalled = func(err error) {
		r.set(&r.mu.stalled, err)
		r.logger.Error("JetStream disk does not take anything: nothing in files is stored until it does", "err", err)
		if was.Stalled != nil {
			was.Stalled(err)
		}
	}
	ev.Resumed = func() {
		r.set(&r.mu.stalled, nil)
		r.logger.Info("JetStream disk takes writes again")
		if was.Resumed != nil {
			was.Resumed()
		}
	}
}

// watchFaults is the part of watch that is about faults.
func (r *diskWatch) watchFaults(ev *journal.Events, was journal.Events) {
	ev.SyncFailed = func(segment string, err error) {
		r.report(Damage{
			Kind: DamageWrite, Where: segment,
			What: fmt.Sprintf("the journal could not be written to %s: %v; what was in it is written elsewhere and nothing is lost", segment, err),
			Do:   "look at the kernel's log and the health of the disk or card, and think of replacing it",
		})
		if was.SyncFailed != nil {
			was.SyncFailed(segment, err)
		}
	}
	ev.Damaged = func(l journal.Lost) {
		r.report(Damage{
			Kind: DamageOperations,
			Lost: []edgestore.SeqRange{{First: uint64(l.First), Last: uint64(l.Last)}},
			What: fmt.Sprintf("operations %d to %d of the journal can not be read", l.First, l.Last),
			Do:   "see which streams lost messages; look at the health of the disk or card",
		})
		if was.Damaged != nil {
			was.Damaged(l)
		}
	}
	ev.Unguarded = func(from, upTo edgestore.LSN, err error) {
		r.report(Damage{
			Kind: DamageUnguarded,
			What: fmt.Sprintf("operations %d to %d were acknowledged before their sync, as sync_interval says, and that failed: %v", from+1, upTo, err),
			Do:   "look at the health of the disk or card; do without sync_interval if nothing may be lost",
		})
		if was.Unguarded != nil {
			was.Unguarded(from, upTo, err)
		}
	}
	ev.ReadFailed = func(file string, err error) {
		r.report(Damage{
			Kind: DamageRead, Where: file,
			What: fmt.Sprintf("the disk failed to read the journal: %v; it is tried again, and nothing is given up", err),
			Do:   "look at the kernel's log and the health of the disk or card, and think of replacing it",
		})
		if was.ReadFailed != nil {
			was.ReadFailed(file, err)
		}
	}
	ev.FolderGone = func(folder string, err error) {
		r.report(Damage{
			Kind: DamageFolder, Where: folder,
			What: fmt.Sprintf("the journal's folder was removed while the server runs: %v; nothing in files is acknowledged any more", err),
			Do:   "copy what the stores still have if it is needed, put the folder back from a backup if there is one, and restart the server",
		})
		if was.FolderGone != nil {
			was.FolderGone(folder, err)
		}
	}
}

// ioFailed tells of a file that the disk did not read or write.
func (r *diskWatch) ioFailed(kind damage.Kind, path string, err error) {
	what := "read"
	if kind == DamageWrite {
		what = "write"
	}
	r.report(Damage{
		Kind: kind, Where: path,
		What: fmt.Sprintf("the disk failed to %s %s: %v; nothing was given up for that", what, path, err),
		Do:   "look at the kernel's log and the health of the disk or card, and think of replacing it",
	})
}

func (r *diskWatch) set(what *error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what = err
}

// Trouble says what keeps streams in files from taking messages, "" if nothing
// does.
func (e *Engine) Trouble() string {
	for i := range limitNames {
		if e.quota.over(i) {
			return "JetStream limit " + e.quota.text(i)
		}
	}
	r := e.cfg.disk
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.mu.stalled != nil:
		return "JetStream disk does not take anything: " + r.mu.stalled.Error()
	case r.mu.unprepared != nil:
		return "JetStream disk: " + r.mu.unprepared.Error()
	case r.mu.full != nil:
		return "JetStream disk full: " + r.mu.full.Error()
	}
	return ""
}

// spare is a file that only takes room, given up so that stores can begin to
// make room on a disk that has none.
type spare struct {
	path string
	have bool
}

const (
	spareName  = "spare"
	spareBytes = 256 << 10
)

func newSpare(dir string) *spare {
	s := &spare{path: filepath.Join(dir, spareName)}
	s.fill()
	return s
}

// fill makes the file if it is not there and there is room to spare.
func (s *spare) fill() {
	if s.have {
		return
	}
	fs := vfs.OS{}
	f, err := fs.Open(s.path)
	if err == nil {
		size, serr := f.Size()
		s.have = serr == nil && size >= spareBytes
		if f.Close() == nil && s.have {
			return
		}
	}
	if free, err := fs.Free(filepath.Dir(s.path)); err != nil || free >= 0 && free < 16*spareBytes {
		return
	}
	if f, err = fs.Create(s.path); err != nil {
		return
	}
	err = vfs.Zero(f, 0, spareBytes, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if s.have = err == nil; !s.have {
		_ = fs.Remove(s.path)
	}
}

// drop reports whether it gave up anything.
func (s *spare) drop() bool {
	had := s.have
	s.have = false
	return had && vfs.OS{}.Remove(s.path) == nil
}
