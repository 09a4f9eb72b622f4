package edgestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore/vfs"
)

// OpenFileStore opens the stream in o.Dir, or makes it. It reads the records of
// the newest file (state, directory, gaps, subjects) and no messages. When a
// record is damaged or missing it searches the pages of all files and makes a
// new file of what it finds; what is lost is in Damage.
func OpenFileStore(o FileOptions) (Store, error) {
	o.fill()
	s := newFileStore(o)
	if err := s.open(); err != nil {
		_ = s.files.close()
		return nil, fmt.Errorf("open store %s: %w", o.Dir, err)
	}
	return s, nil
}

func newFileStore(o FileOptions) *fileStore {
	s := &fileStore{o: &o}
	s.base.files, s.damaged = s, o.Damaged
	s.init(o.FirstSeq, true)
	return s
}

func (s *fileStore) open() (err error) {
	size := int64(-1) // of all files; -1: not known yet
	defer func() {
		if err == nil {
			s.count(size)
		}
	}()
	found, err := s.findFiles()
	if err != nil {
		return err
	}
	s.free, s.noRuns = found.free, !found.anyRun
	ids := found.ids
	if len(ids) == 0 {
		if len(found.strays) > 0 {
			s.met().Empty = true
		}
		s.begin()
		if s.o.Late {
			if found.names == 0 {
				size = 0
			}
			return nil
		}
		return s.makeFirst()
	}
	// Without a pool a store keeps its file open, and so keeps others off it.
	small := false
	if s.o.Files != nil && !found.unsure[ids[len(ids)-1]] {
		size, small = s.loadImage(ids[len(ids)-1])
	}
	if !small || found.names > 1 {
		size = -1
	}
	if !small {
		if ids, err = s.openHead(ids); err != nil || len(ids) == 0 {
			return err
		}
	}
	head := s.files.headID()
	for _, id := range ids {
		if id == head {
			continue
		}
		s.files.addOld(id, &oldFile{boltFile: &boltFile{path: fileName(s.o.Dir, id), readOnly: true, hooks: s.o}})
		if !slices.Contains(s.state.files, id) {
			if err := s.files.unlink(id); err != nil {
				return err
			}
		}
	}
	s.lookAtOld(ids)
	if found.unsure[head] {
		if err := s.secure(); err != nil {
			return fmt.Errorf("writing again what a failed write left: %w", err)
		}
	}
	for id := range found.unsure {
		if id != s.files.headID() {
			_ = s.o.Disk.Remove(fileName(s.o.Dir, id) + unsureSuffix)
		}
	}
	if small {
		return nil
	}
	if err := s.removeOrphans(); noSpace(err) {
		s.orphans = true // the first flush that finds room does it
	} else if err != nil {
		return err
	}
	return nil
}

// count adds what the files in the folder take to what the pool knows.
func (s *fileStore) count(size int64) {
	p := s.o.Files
	if p == nil {
		return
	}
	if size < 0 {
		size = 0
		_ = vfs.Names(s.o.Dir, func(name string, _ bool) {
			if info, err := os.Lstat(filepath.Join(s.o.Dir, name)); err == nil && info.Mode().IsRegular() {
				size += info.Size()
			}
		})
	}
	p.found.Add(size)
}

// openHead loads the newest file, or what can be salvaged of all, and returns
// the numbers of the files that there are then. When there is nothing to be
// salvaged and the options say so, the files are set aside and a new stream is
// begun: then it returns none.
func (s *fileStore) openHead(ids []uint32) ([]uint32, error) {
	head := ids[len(ids)-1]
	err := s.loadHead(head)
	lostCommit, older := false, false
	if err == nil {
		lostCommit, older, err = s.lostCommit(fileName(s.o.Dir, head))
	}
	if older {
		s.mend(fileName(s.o.Dir, head))
	}
	if lostCommit || isCorrupt(err) {
		if err := s.files.close(); err != nil {
			return nil, err
		}
		s.files.head, s.files.id = nil, 0
		if lostCommit {
			err = &CorruptError{fileName(s.o.Dir, head), "meta pages", "the newest is damaged"}
		}
		s.met().Salvaged = err
		err = s.salvage(ids, lostCommit, err)
	}
	if isCorrupt(err) && s.o.SetAside {
		for _, id := range ids {
			if err := s.setAside(fileName(s.o.Dir, id)); err != nil {
				return nil, err
			}
		}
		s.free, s.met().Empty = head+1, true
		s.mu.dir, s.mu.gaps, s.mu.msgs, s.mu.bytes, s.mu.lost = directory{}, gapSet{}, 0, 0, losses{}
		s.init(s.o.FirstSeq, true)
		s.begin()
		return nil, s.makeFirst()
	}
	if err != nil || s.opening == nil {
		return ids, err
	}
	found, err := s.findFiles() // what the salvage has left
	return found.ids, err
}

// Opening tells what an open met. The files of a store implement it:
//
//	st.(interface{ Opening() Opening })
type Opening struct {
	// Salvaged is what made the open search the pages of the files; nil: all
	// was as it was left. What the store holds then may be older than what it
	// had: Applied, Chain and State say how old.
	Salvaged error
	// Stateless: nothing but chunks was found. Applied and Chain are 0, and the
	// messages are those that chunks and gaps tell of.
	Stateless bool
	// Empty: there were files, and nothing in them (FileOptions.SetAside).
	Empty bool
	// Mended are files of which one meta page was damaged: it was written anew, and
	// nothing is lost for that. Missing are files that are gone; the messages that
	// stood there are among those that are Found.
	Mended, Missing []string
	// Aside are the files that were set aside, Strays those that are none of
	// the store's; both were left where they are.
	Aside, Strays []string
}

// Opening tells what the open met.
func (s *fileStore) Opening() Opening {
	if s.opening == nil {
		return Opening{}
	}
	return *s.opening
}

// NoIDRuns tells that the folder of the store had no runs of ids when it was
// opened, so that whoever owns them need not look for those that nobody names:
//
//	st.(interface{ NoIDRuns() bool })
func (s *fileStore) NoIDRuns() bool { return s.noRuns }

// met is for what the open has to tell.
func (s *fileStore) met() *Opening {
	if s.opening == nil {
		s.opening = new(Opening)
	}
	return s.opening
}

// setAside gives a damaged file a name that nobody opens.
func (s *fileStore) setAside(path string) error {
	to, err := SetAside(s.o.Disk, path)
	if err == nil {
		s.met().Aside = append(s.met().Aside, to)
	}
	return err
}

// SetAside renames a damaged file, durably, to a name that is free, and returns
// that: path.damaged-1, and so on.
func SetAside(disk vfs.FS, path string) (string, error) {
	for n := 1; ; n++ {
		to := path + damagedInfix + strconv.Itoa(n)
		if _, err := os.Lstat(to); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := disk.Rename(path, to); err != nil {
			return "", err
		}
		return to, disk.SyncDir(filepath.Dir(path))
	}
}

const damagedInfix = ".damaged-"

// lostCommit tells whether a file had a newer commit than the one that opens.
// The meta page is written after everything it stands for was synced, so when
// it is torn or damaged the commit is there and whole: only the way to it is
// lost. Going back to the commit before would lose what the journal may have
// given up since. Else it tells whether the page of an older commit is damaged.
func (s *fileStore) lostCommit(path string) (newer, older bool, err error) {
	if damaged, err := metaDamaged(path); !damaged || err != nil {
		return false, false, err
	}
	err = rawScan(path, s.o, func(_ int64, b []byte) error {
		if rec, err := parseRecord(b, kindState); err == nil && rec.incarnation == s.o.Incarnation && rec.flush > s.number {
			newer = true
		}
		return nil
	})
	return newer, !newer && err == nil, err
}

// mend writes the damaged meta page of a file anew, and remembers it to be told.
func (s *fileStore) mend(path string) {
	s.met().Mended = append(s.met().Mended, path)
	if err := mendMeta(path); err != nil {
		s.o.toldWrite(err) // the next open tries again
	}
}

// lookAtOld looks at what is cheap to know of the files that are only read: whether
// they are there, and both of their meta pages. ids are the files in the folder.
func (s *fileStore) lookAtOld(ids []uint32) {
	for _, id := range s.state.files {
		path := fileName(s.o.Dir, id)
		if id == s.files.headID() {
			continue
		}
		if !slices.Contains(ids, id) {
			if lost := s.lostWith(id); len(lost) > 0 {
				s.met().Missing = append(s.met().Missing, path)
				s.markFound(lost, &CorruptError{path, "open", "the file is gone"})
			}
			continue
		}
		// Where the newest is damaged, chunks are searched for in the pages.
		if damaged, err := metaDamaged(path); err == nil && damaged {
			s.mend(path)
		}
	}
}

// lostWith are the messages that only a file had which is gone. One that was removed
// to make room has left husks.
func (s *fileStore) lostWith(id uint32) (lost ranges) {
	for _, r := range s.mu.dir.inFile(id) {
		if s.loadHusk(r) == nil {
			lost = lost.add(r.first, r.last)
		}
	}
	return s.counted(lost)
}

// folder is what lies in the folder of a store.
type folder struct {
	ids    []uint32        // of files, ascending
	free   uint32          // a number that nothing has, nor anything above it
	unsure map[uint32]bool // nil: none
	strays []string
	runs   []string // of ids; they are their owner's
	anyRun bool     // there are such, or what was to become one
	tmp    []string // that were not finished
	names  int      // of all that
}

// makeFolder makes the folder, durably.
func (s *fileStore) makeFolder() error {
	_, err := os.Stat(s.o.Dir)
	there := err == nil
	if err := s.o.Disk.MkdirAll(s.o.Dir); err != nil || !there {
		return err
	}
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	// Whoever made it may not have come to the sync.
	return s.o.Disk.SyncDir(filepath.Dir(s.o.Dir))
}

// findFiles makes the folder if it is needed now, removes temporary files, and tells
// what else there is.
func (s *fileStore) findFiles() (folder, error) {
	if !s.o.Late {
		if err := s.makeFolder(); err != nil {
			return folder{}, err
		}
	}
	f, err := s.readFolder()
	if err != nil && s.o.Late {
		// A stream can be made when connections have taken all descriptors, and
		// the folder of one that was just made is not there.
		if _, lerr := os.Lstat(s.o.Dir); errors.Is(lerr, fs.ErrNotExist) {
			return folder{free: 1}, nil
		}
	}
	if err != nil {
		return folder{}, err
	}
	for _, name := range f.tmp {
		if err := os.Remove(filepath.Join(s.o.Dir, name)); err != nil {
			return f, err
		}
	}
	if len(f.strays) > 0 || s.opening != nil {
		s.met().Strays = f.strays
	}
	return f, nil
}

// readFolder tells what is in the folder.
func (s *fileStore) readFolder() (folder, error) {
	f := folder{free: 1}
	err := vfs.Names(s.o.Dir, func(name string, regular bool) { f.add(s.o.Dir, name, regular) })
	slices.Sort(f.ids)
	slices.Sort(f.runs)
	slices.Sort(f.strays)
	return f, err
}

func (f *folder) add(dir, name string, regular bool) {
	base, _, damaged := strings.Cut(name, damagedInfix)
	run := isIDRunFile(name)
	f.names++
	f.anyRun = f.anyRun || run
	id, known := fileID(strings.TrimSuffix(strings.TrimSuffix(base, tmpSuffix), unsureSuffix))
	if known {
		f.free = max(f.free, id+1)
	}
	switch {
	case known && damaged:
	case known && strings.HasSuffix(name, tmpSuffix):
		f.tmp = append(f.tmp, name)
	case known && strings.HasSuffix(name, unsureSuffix):
		if f.unsure == nil {
			f.unsure = make(map[uint32]bool)
		}
		f.unsure[id] = true
	case known && regular:
		f.ids = append(f.ids, id)
	case run && regular:
		f.runs = append(f.runs, name)
	default:
		f.strays = append(f.strays, filepath.Join(dir, name))
	}
}

// fileID is the number in the name of a store's file.
func fileID(name string) (uint32, bool) {
	digits, ours := strings.CutSuffix(name, fileSuffix)
	id, err := strconv.ParseUint(digits, 10, 32)
	plain := len(digits) == fileDigits || len(digits) > fileDigits && digits[0] != '0'
	return uint32(id), ours && err == nil && plain
}

// begin makes a stream that has nothing.
func (s *fileStore) begin() {
	s.state = fileState{first: s.mu.first, last: s.mu.last, nextDir: 1, nextRun: 1}
	s.records = recordSums{}
	s.unmade = true
}

// makeLate makes the folder and the first file, if that is not done yet.
func (s *fileStore) makeLate() error {
	if !s.unmade {
		return nil
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	return s.makeFirst()
}

// makeFirst makes the first file of a new stream.
func (s *fileStore) makeFirst() error {
	id := s.free
	path := fileName(s.o.Dir, id)
	file, err := createBolt(path, s.o)
	if err != nil {
		return err
	}
	err = file.update("create", func(tx *bbolt.Tx) error {
		if err := makeBuckets(s.o.Incarnation)(tx); err != nil {
			return err
		}
		return putState(tx.Bucket(recordsBucket), &s.state, s.o.Incarnation, 0)
	})
	if err == nil {
		err = file.finish(path)
	}
	if err != nil {
		file.discard()
		return err
	}
	s.unmade = false
	return s.files.roll(file, id)
}

// loadHead reads the records of the newest file into the index.
func (s *fileStore) loadHead(id uint32) error {
	file := &boltFile{path: fileName(s.o.Dir, id), readOnly: s.looking, hooks: s.o}
	var l *loader
	err := file.view("records", func(tx *bbolt.Tx) error {
		l = &loader{s: s} // a read that failed half way is tried again
		b := tx.Bucket(recordsBucket)
		if b == nil || tx.Bucket(chunksBucket) == nil {
			return fmt.Errorf("buckets are missing: %w", ErrCorrupt)
		}
		return l.read(boltRecords{b})
	})
	if err == nil {
		err = file.view("subjects", func(tx *bbolt.Tx) error {
			b := tx.Bucket(recordsBucket)
			if b == nil {
				return fmt.Errorf("no records: %w", ErrCorrupt)
			}
			return l.readSubjects(boltRecords{b})
		})
	}
	if err != nil {
		return errors.Join(err, file.shut())
	}
	if err := l.keep(file, id); err != nil {
		return err
	}
	if l.state.uncounted {
		return s.countSubjects()
	}
	return nil
}

// keep makes what was loaded the state of the store.
func (l *loader) keep(file *boltFile, id uint32) error {
	s := l.s
	s.records, s.state, s.number = l.sums, l.state, l.number
	s.setDurable(&l.state)
	if s.mu.lost = l.lost; !l.lost.empty() {
		lost := l.lost
		s.losses = &lost
	}
	s.hurt.Store(len(l.lost.found) > 0)
	s.mu.first, s.mu.last, s.mu.drained = l.state.first, l.state.last, l.state.last
	s.mu.msgs, s.mu.bytes, s.mu.lastTime = l.state.msgs, l.state.bytes, l.state.lastTime
	s.mu.dir, s.mu.gaps.pages, s.mu.subs = directory{pages: l.pages}, l.gaps, l.subs
	return s.files.roll(file, id)
}

// countSubjects counts the subjects of all messages; the next flush writes them.
func (s *fileStore) countSubjects() error {
	subs := newSubjects(true)
	err := s.each(matcher{all: true}, 0, ^uint64(0), func(h hit) bool {
		id := subs.intern(h.subject)
		c := &subs.all[id]
		if c.msgs == 0 {
			c.first = h.seq
		}
		c.msgs, c.last = c.msgs+1, h.seq
		subs.mark(id)
		return true
	})
	s.mu.subs, s.state.uncounted = subs, false
	return err
}

// secure writes into a new file what a head shows of which a commit failed: it
// may be in the page cache only.
func (s *fileStore) secure() error {
	s.files.head.mu.Lock()
	s.files.head.suspect = errUnsure
	s.files.head.mu.Unlock()
	st := &s.state
	cur := &seal{applied: st.applied, chain: st.chain, first: st.first, last: st.last, msgs: st.msgs, bytes: st.bytes, lastTime: st.lastTime,
		gaps: make(map[uint64][]byte), aux: make(map[string][]byte), after: new(gapSet)}
	old := s.files.headID()
	f := s.newFlusher(cur, true)
	if err := f.begin(); err != nil {
		f.abandon()
		return err
	}
	err := f.moveFresh(old)
	if err == nil {
		f.encodeRecords()
		if err = f.commit(); err == nil {
			return f.publish()
		}
	}
	f.abandon()
	return err
}

var errUnsure = errors.New("a write of it failed")

// removeOrphans deletes rows that the directory does not know, left by a flush
// that did not come to its end.
func (s *fileStore) removeOrphans() error {
	from := s.mu.dir.orphansFrom()
	var keys [][]byte
	err := s.files.head.view("orphans", func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		if b == nil {
			return fmt.Errorf("buckets are missing: %w", ErrCorrupt)
		}
		c := b.Cursor()
		for k, _ := c.Seek(binary.BigEndian.AppendUint64(nil, from)); k != nil; k, _ = c.Next() {
			if !s.mu.dir.names(k) {
				keys = append(keys, bytes.Clone(k))
			}
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		if isCorrupt(err) {
			return nil // the next flush will say so; reading goes on
		}
		return err
	}
	return s.files.head.update("orphans", func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}
