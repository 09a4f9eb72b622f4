package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Recovery is what Open found.
type Recovery struct {
	// ID is the journal's own: another folder has another. Boot counts its starts,
	// this one too; both are durable.
	ID    uint64
	Boot  uint32
	First edgestore.LSN // oldest record, or Last+1
	Last  edgestore.LSN // newest durable one
	Clean bool          // the journal was closed the last time
	// Torn: behind Last there were parts of a group that had not been synced.
	// That is what a power cut leaves; nobody was told that it is stored.
	Torn bool
	// Missing are records that were durable, behind the last one that can be
	// read: a mark says so. Last is behind them. Replay tells them as the last
	// hole. First is 0 when none are missing.
	Missing Lost
	// Heads are the streams of the newest records, as far as a mark in the log
	// knows them: each record from HeadsSince to Last is of one of these.
	Heads      []edgestore.Head
	HeadsSince edgestore.LSN
	// Format is what the folder had. It is below the constant Format once: the
	// journal goes on in the newer one, beside what it holds in the older.
	Format uint32
	// Remade: the small file that says whose journal this is was not there, or its
	// first page was damaged, and it was made anew from the segments. What was
	// released is known from them: no record is missing for that.
	Remade bool
	// Mended are parts of files that were damaged, or gone, and that nothing was
	// lost by: they were written anew.
	Mended []Mended
	// Aside are folders that stood where files of the journal belong, and were put
	// aside. Such a file is gone, and what was in it is missing like that of any
	// that is.
	Aside []Aside
}

// Aside is the name of a file of the journal that a folder had, and where the
// folder is now.
type Aside struct{ File, Path string }

// Mended is a file of the journal that was damaged, and which part of it.
type Mended struct{ File, Part string }

// Lost is a range of records that had been durable and can't be read.
type Lost struct{ First, Last edgestore.LSN }

// Open locks the folder, finds the end of the log and prepares for writing.
// Nothing is written to the log but a mark of this boot; call Replay for what
// it holds, then Start.
//
// What is believed: D is the newest LSN that anything intact names as synced
// (every frame does, the headers and the small file too). Up to D a gap is
// damage: it is reported and reading goes on behind it. Above D stands at most
// the one group that was being written when the power went: its frames are
// taken as long as they are whole and in order, and the first fault ends the
// log. What can't be read at all is believed to be neither: Open fails then, and
// has written nothing.
func Open(o Options) (*Journal, Recovery, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, Recovery{}, err
	}
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, Recovery{}, fmt.Errorf("open journal: %w", err)
	}
	lock, aside, err := takeLock(&o)
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open journal %s: %w", o.Dir, err)
	}
	o.scaleToDevice()
	j := &Journal{
		o: o, lock: lock,
		cache:   newCache(o.CacheBytes),
		windows: &windows{},
		wake:    make(chan struct{}, 1),
		hurry:   make(chan struct{}, 1),
		toApply: make(chan *group, 1),
		closing: make(chan struct{}),
	}
	j.maxGroup = int(o.SegmentBytes) - segmentHeader
	// One fills, one is written, one is applied, one is on the way; more as far
	// as half the budget goes.
	j.maxSpare = max(4, int(o.StagedBytes/2)/o.GroupBytes)
	j.committer = committer{j: j, lookEvery: lookEvery, pace: pace{bound: max(minGroup, o.GroupBytes/4), max: o.GroupBytes}}
	j.mu.bound = j.committer.pace.bound
	j.mu.open = newGroup()
	rec, err := j.recover()
	rec.Aside = append(aside, rec.Aside...)
	if err != nil {
		if j.shelf != nil {
			j.shelf.close()
		}
		j.committer.closeMeta()
		lock.Close()
		return nil, Recovery{}, fmt.Errorf("open journal %s: %w", o.Dir, err)
	}
	j.recovery = rec
	return j, rec, nil
}

// lockStep is the wait between two looks at a lock that is held.
const lockStep = 20 * time.Millisecond

// takeLock waits a while for a lock that is held: a process that was killed may
// take a moment to end.
func takeLock(o *Options) (lock io.Closer, aside []Aside, err error) {
	for waited := time.Duration(0); ; waited += lockStep {
		lock, err = o.FS.Lock(filepath.Join(o.Dir, lockName))
		if isFolder(err) {
			err = o.asideFolder(lockName, &aside)
			if err == nil {
				lock, err = o.FS.Lock(filepath.Join(o.Dir, lockName))
			}
		}
		switch {
		case err == nil || !errors.Is(err, vfs.ErrLocked):
			return lock, aside, err
		case waited >= o.LockWait:
			return nil, nil, fmt.Errorf("%w (another server runs on it, or this one twice)", edgestore.ErrLocked)
		}
		time.Sleep(lockStep)
	}
}

// isFolder tells whether what was to be opened is there and is no file.
func isFolder(err error) bool { return errors.Is(err, syscall.EISDIR) }

// asideFolder puts a folder aside that has the name of a file of the journal:
// nobody reads the file any more, and no other can be made in its place.
func (o *Options) asideFolder(name string, aside *[]Aside) error {
	to, err := edgestore.SetAside(o.FS, filepath.Join(o.Dir, name))
	if err == nil {
		*aside = append(*aside, Aside{name, to})
	}
	return err
}

// found is what recovery knows of one segment file.
type found struct {
	*segment
	info   segmentInfo
	infoOK bool
	frames bool
	frame1 bool // of format 1
	// released is what its header says of that; 0 when it does not say.
	released edgestore.LSN
}

func (j *Journal) recover() (rec Recovery, err error) {
	content, size, err := readMeta(&j.o)
	if isFolder(err) {
		err = j.o.asideFolder(metaName, &rec.Aside)
	}
	if err != nil {
		return rec, err
	}
	m, metaOK := parseMeta(content)
	if metaOK && m.format > Format {
		return rec, newerFormat(metaName, m.format)
	}
	j.shelf = newShelf(&j.o, 0, 0, j.Synced)
	remade := !metaOK
	segs, err := j.findSegments(&m, &metaOK, &rec.Aside)
	if err != nil {
		return rec, err
	}
	rec.Remade = remade && len(segs) > 0
	if !metaOK {
		var id [8]byte
		if _, err := io.ReadFull(j.o.Rand, id[:]); err != nil {
			return rec, fmt.Errorf("choose an id: %w", err)
		}
		m.id = binary.LittleEndian.Uint64(id[:])
	}
	j.shelf.id = m.id
	rec.Format = formatOf(&m, segs)
	was := m
	m.format = Format
	durable := m.floor
	released := edgestore.LSN(0)
	var sc scanner
	for i := range segs {
		released = max(released, segs[i].released)
		boot, err := segs[i].firstFrame(m.id, &sc)
		if err != nil {
			return rec, err
		}
		m.boot = max(m.boot, boot, segs[i].info.boot)
		if segs[i].infoOK {
			durable = max(durable, segs[i].info.floor)
		}
	}
	segs = j.sortOut(segs)
	e := end{segs: segs, heads: &j.committer.heads}
	whole := metaOK && !remade
	if content == nil {
		content = make([]byte, metaSize) // says nothing
	}
	if mark, ok := getMark(content, m.id); ok {
		m.boot, durable = max(m.boot, mark.boot), max(durable, mark.synced)
		e.begin(&mark)
	}
	if upTo, ok := getReleased(content[releasePage:], m.id); ok {
		j.shelf.mu.released = max(upTo, released)
	} else if len(segs) > 0 {
		j.shelf.mu.released = max(segs[0].first-1, released)
	}
	e.floor = j.shelf.mu.released
	if err := e.find(durable); err != nil {
		return rec, err
	}
	rec.Last, rec.Torn, rec.Clean, rec.Missing = e.last, e.torn, e.clean, e.missing()
	if part := was.damagedPart(content, size, e.clean); whole && part != "" {
		rec.Mended = append(rec.Mended, Mended{metaName, part})
	}
	rec.Heads, rec.HeadsSince = e.headsAtEnd()
	j.recovered = rec.Last
	m.boot = max(m.boot, e.boot) + 1
	m.floor = rec.Last
	j.boot, j.shelf.boot = m.boot, m.boot
	rec.ID, rec.Boot = m.id, m.boot
	j.synced.Store(uint64(rec.Last))
	j.mu.next, j.mu.applied = rec.Last+1, rec.Last
	for i := range segs {
		s := segs[i].segment
		s.last = rec.Last
		if i+1 < len(segs) {
			s.last = segs[i+1].first - 1
		}
		j.shelf.mu.live = append(j.shelf.mu.live, s)
	}
	rec.First = j.First()
	if err := j.goOn(m, &e); err != nil {
		return rec, err
	}
	rec.Mended = append(rec.Mended, j.mendHeaders(segs)...)
	return rec, nil
}

// mendHeaders writes the damaged headers of segments with records again. A segment
// has its header, synced, before it has a record.
func (j *Journal) mendHeaders(segs []found) (mended []Mended) {
	for i := range segs {
		s := &segs[i]
		if s.infoOK {
			continue
		}
		mended = append(mended, Mended{segmentName(s.number), "its header"})
		if s.frame1 {
			continue // it goes with what is in it
		}
		if err := j.shelf.writeHeader(s.segment); err != nil && j.o.Events.SyncFailed != nil {
			j.o.Events.SyncFailed(segmentName(s.number), err)
		}
	}
	return mended
}

// formatOf is what a folder had: its small file says so, or, where that is
// lost, the segments. A new folder has this program's.
func formatOf(m *meta, segs []found) uint32 {
	if m.format > 0 {
		return m.format
	}
	format := uint32(Format)
	for i := range segs {
		if f := segs[i].format; f > 0 {
			format = min(format, f)
		}
	}
	return format
}

// goOn makes durable what recovery decided: the part of the log that no synced
// mark covers is written again, for it may only have been in the page cache of
// a process that died; then the new boot is counted; then a mark of this boot
// ends the log, so that whatever an earlier boot left behind it is stale.
func (j *Journal) goOn(m meta, e *end) error {
	live := j.shelf.mu.live
	if len(live) > 0 {
		seg := live[len(live)-1]
		seg.tail = e.end
		if err := rewrite(seg, e.unsure, e.end); err != nil {
			return fmt.Errorf("write the end of segment %s again: %w", segmentName(seg.number), err)
		}
		if seg.format == Format {
			// Not behind records of an older format: whoever can't read this one
			// would take it for the end.
			j.committer.active = seg
		}
	}
	content := make([]byte, metaSize)
	copy(content, m.bytes())
	j.committer.putMetaMark(content[markPage:releasePage])
	putReleased(content[releasePage:], m.id, j.shelf.mu.released)
	if err := writeMeta(j.o.FS, j.o.Dir, content); err != nil {
		return wrapSpace(err)
	}
	j.shelf.mu.noted = j.shelf.mu.released
	if err := j.committer.openMeta(); err != nil {
		return err
	}
	if err := j.committer.findPlace(); err != nil {
		return err
	}
	seg := j.committer.active
	if err := j.committer.mark(j.recovered+1, j.recovered, 0); err != nil {
		return fmt.Errorf("mark the boot in segment %s: %w", segmentName(seg.number), err)
	}
	j.committer.noteRoom()
	return nil
}

// rewrite writes and syncs the bytes from lo to hi as they are.
func rewrite(seg *segment, lo, hi int64) error {
	if lo >= hi {
		return nil
	}
	b := make([]byte, min(hi-lo, 1<<20))
	for at := lo; at < hi; at += int64(len(b)) {
		b = b[:min(int64(len(b)), hi-at)]
		if err := seg.readAt(b, at); err != nil {
			return err
		}
		if _, err := seg.file.WriteAt(b, at); err != nil {
			return err
		}
	}
	return seg.file.Sync()
}

func newerFormat(name string, format uint32) error {
	return fmt.Errorf("%s has format %d, this program knows formats up to %d: use the newer program", name, format, Format)
}

// findSegments opens the segment files and reads their headers. Without a meta
// file the headers say which journal this is.
func (j *Journal) findSegments(m *meta, metaOK *bool, aside *[]Aside) ([]found, error) {
	names, err := j.o.FS.List(j.o.Dir)
	if err != nil {
		return nil, err
	}
	var segs []found
	for _, name := range names {
		switch name {
		case freshName, metaTmp:
			j.o.FS.Remove(j.shelf.path(name))
			continue
		case ballastName:
			j.shelf.mu.ballast = true
			continue
		case reserveName:
			j.shelf.mu.reserve = j.rightSize(name, aside)
			continue
		}
		number, ok := parseSegmentName(name)
		if !ok {
			if _, half := parseSegmentName(strings.TrimSuffix(name, ".tmp")); half {
				j.o.FS.Remove(j.shelf.path(name)) // of edgestore.GiveUp, that was stopped
			}
			continue // not ours
		}
		j.shelf.mu.number = max(j.shelf.mu.number, number)
		s := &segment{number: number, path: j.shelf.path(name), tail: segmentHeader, told: j.o.Events.ReadFailed}
		// Whatever comes, the shelf closes the file.
		j.shelf.mu.dead = append(j.shelf.mu.dead, s)
		if s.file, err = j.o.FS.Open(s.path); isFolder(err) {
			if err = j.o.asideFolder(name, aside); err == nil {
				j.shelf.mu.dead = j.shelf.mu.dead[:len(j.shelf.mu.dead)-1]
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if s.size, err = s.file.Size(); err != nil {
			return nil, err
		}
		fd := found{segment: s}
		page := make([]byte, headerRelease+releaseBytes)
		if err := s.readAt(page, 0); err != nil {
			return nil, err
		}
		fd.info, fd.infoOK = getSegmentInfo(page)
		if fd.infoOK {
			s.format = fd.info.format
			if fd.info.format > Format {
				return nil, newerFormat(name, fd.info.format)
			}
			if !*metaOK {
				m.id, *metaOK = fd.info.id, true
			}
			if fd.info.id != m.id {
				return nil, fmt.Errorf("segment %s belongs to another journal (id %016x, here %016x)", name, fd.info.id, m.id)
			}
			fd.released, _ = getReleased(page[headerRelease:], m.id)
		}
		segs = append(segs, fd)
	}
	j.shelf.mu.dead = nil
	return segs, nil
}

// rightSize tells whether the reserve can be used, and removes it if not.
func (j *Journal) rightSize(name string, aside *[]Aside) bool {
	f, err := j.o.FS.Open(j.shelf.path(name))
	if isFolder(err) {
		_ = j.o.asideFolder(name, aside) // else the shelf tells that it can't make one
	}
	if err != nil {
		return false
	}
	size, err := f.Size()
	f.Close()
	if err != nil || size != j.o.SegmentBytes {
		j.o.FS.Remove(j.shelf.path(name))
		return false
	}
	return true
}

// firstFrame looks where the records of the segment begin; it returns the boot.
func (s *found) firstFrame(id uint64, sc *scanner) (boot uint32, err error) {
	s.seed = segmentSeed(id, s.number)
	var f frame
	if !sc.reset(s.segment).next(&f) {
		return 0, sc.err
	}
	// A segment is begun when everything before it is synced, so that the frame
	// says where the segment begins even when a power cut tore the one before it.
	s.frames, s.first, s.frame1 = true, min(f.first, f.synced+1), f.format == 1
	return f.boot, nil
}

// sortOut returns the segments that hold the log, oldest first. The others go
// to the shelf: prepared ones that were never used, and those whose records
// all stand in a later one, because their sync had failed.
func (j *Journal) sortOut(segs []found) []found {
	var log []found
	limit := ^edgestore.LSN(0)
	for i := len(segs) - 1; i >= 0; i-- {
		s := segs[i]
		switch {
		case s.frames && s.first < limit:
			limit = s.first
			log = append(log, s)
		case s.size != j.o.SegmentBytes:
			j.shelf.mu.dead = append(j.shelf.mu.dead, s.segment)
		default:
			s.first = 0
			j.shelf.mu.free = append(j.shelf.mu.free, s.segment)
		}
	}
	slices.Reverse(log)
	return log
}
