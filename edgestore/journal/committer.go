package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// committer makes groups durable, one after the other.
//
// The naive way is to write and sync each record before its sender hears of
// it; a disk does that a few hundred times a second. So records gather in a
// group while the disk works on the one before:
//
//  1. take the oldest full group, or the open one if it was kicked;
//  2. find its place: the active segment, or the next one when it is full
//     (everything in the old one has been synced by then);
//  3. seal it (checksums), write it with one call, sync it;
//  4. note it as synced, keep its bytes for readers, hand it to the applier.
//
// When step 3 fails the file is never used again: after a failed fdatasync the
// kernel has marked the pages clean, and a second one would lie. The group
// still is in memory, and goes to another segment. When that fails too the
// journal stalls: Append refuses, nothing is acknowledged, and the committer
// goes on trying with new files until the disk takes the group or Close is
// called. So an LSN that was given is applied or the process ends; there is no
// third state for those above to handle.
type committer struct {
	j       *Journal
	active  *segment
	marked  int64 // the tail that has an idle mark
	markBuf [sector]byte
	heads   heads
	// metaFile is journal.id, where the other mark stands, and meta how it is
	// written.
	metaFile   vfs.File
	meta       io.WriterAt
	metaMap    vfs.Mapping // nil where there is none
	metaPage   int64       // of the newest mark
	metaBuf    [pageBytes]byte
	metaFailed bool
	// lookEvery is how much time passes at least between two looks at whether
	// the active segment has a name.
	lookEvery time.Duration
	lookedAt  time.Time
	kicked    bool  // the open group is to be taken
	final     error // what Close returns; set before run ends

	pace pace

	// With Options.SyncInterval: what is written but not synced.
	unsynced   edgestore.LSN
	lastSyncAt time.Time
}

func (c *committer) run() {
	for {
		g := c.await()
		if g == nil {
			break
		}
		if err := c.commit(g); err != nil {
			c.final = c.abandon(g, err)
			return
		}
		c.j.toApply <- g
		// Whoever is ready to append goes first: a sync costs as much processor
		// time as some messages, so fewer of them are worth it. With nobody
		// ready it is nothing.
		runtime.Gosched()
	}
	if c.unsynced > 0 {
		c.syncActive()
	}
	// A stop in good order leaves both marks whole: see meta.damagedPart.
	if err := c.metaFile.Sync(); err != nil {
		c.final = err
		return
	}
	// The mark of a clean stop; without it the next start only reads more.
	synced := c.j.Synced()
	if err := c.mark(synced+1, synced, frameClean); err != nil {
		c.final = err
	}
}

// await waits for a group; nil means that the journal is closing and nothing
// is left.
func (c *committer) await() *group {
	j := c.j
	if g := c.takeGroup(); g != nil {
		return g
	}
	var syncTimer <-chan time.Time
	for {
		select {
		case <-j.wake:
		case <-j.closing:
			c.kicked = true
			return c.takeGroup()
		default:
			// Nothing to do for now: say that what was written is synced, so
			// that damage to the last group is known from a torn write.
			if c.unsynced == 0 {
				c.idleMark()
			}
			if c.unsynced > 0 && syncTimer == nil {
				t := time.NewTimer(time.Until(c.lastSyncAt.Add(j.o.SyncInterval)))
				defer t.Stop()
				syncTimer = t.C
			}
			select {
			case <-j.wake:
			case <-syncTimer:
				syncTimer = nil
				c.syncActive()
				continue
			case <-j.closing:
				c.kicked = true
				return c.takeGroup()
			}
		}
		c.gather()
		c.kicked = true
		if g := c.takeGroup(); g != nil {
			return g
		}
	}
}

// gather waits for CommitInterval, or until there is a reason not to.
func (c *committer) gather() {
	j := c.j
	if j.o.CommitInterval <= 0 {
		return
	}
	t := time.NewTimer(j.o.CommitInterval)
	defer t.Stop()
	for {
		j.mu.Lock()
		enough := len(j.mu.full) > 0 || len(j.mu.waiters) > 0 || j.mu.staged*2 > j.o.StagedBytes
		j.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-t.C:
			return
		case <-j.wake:
		case <-j.hurry:
			return
		case <-j.closing:
			return
		}
	}
}

// takeGroup takes the oldest group; the open one only after a kick, which
// counts until the open group was taken.
func (c *committer) takeGroup() *group {
	j := c.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.mu.full) > 0 {
		g := j.mu.full[0]
		n := copy(j.mu.full, j.mu.full[1:])
		j.mu.full[n] = nil
		j.mu.full = j.mu.full[:n]
		return g
	}
	if !c.kicked {
		return nil
	}
	c.kicked = false
	g := j.mu.open
	if len(g.buf) == 0 {
		return nil
	}
	j.mu.open = j.spareLocked()
	return g
}

// commit makes a group durable. It gives up only when the journal closes.
func (c *committer) commit(g *group) error {
	j := c.j
	g.finish()
	err := c.tryTwice(g)
	if err != nil {
		err = c.persist(g, err)
	}
	if err != nil {
		return err
	}
	j.stats.groups.Add(1)
	j.stats.records.Add(uint64(len(g.refs)))
	j.stats.bytes.Add(uint64(len(g.buf)))
	if n := uint64(len(g.refs)); n > j.stats.maxGroup.Load() {
		j.stats.maxGroup.Store(n)
	}
	return nil
}

// tryTwice writes a group to the active segment or, failing that, to another.
func (c *committer) tryTwice(g *group) error {
	if err := c.write(g); err == nil || errors.Is(err, errNoSegment) {
		return err
	}
	return c.write(g)
}

// persist goes on trying after the disk refused twice.
func (c *committer) persist(g *group, err error) error {
	j := c.j
	j.stall(err)
	wait := 100 * time.Millisecond
	for {
		t := time.NewTimer(wait)
		changed := j.shelf.changed()
		if !errors.Is(err, errNoSegment) {
			changed = nil // there are files, but writing fails: wait the time out
		}
		select {
		case <-t.C:
		case <-changed:
		case <-j.closing:
			t.Stop()
			return c.tryTwice(g) // once more, and that was it
		}
		t.Stop()
		if err = c.tryTwice(g); err == nil {
			j.unstall()
			return nil
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// errNoSegment is the class of errors that mean that there is no file to write
// to, other than one that refuses to be written.
var errNoSegment = errors.New("no segment to write to")

// errGone: the file was written and synced, and has no name any more, so that
// nobody will find it after a restart.
var errGone = errors.New("the file was removed")

// write is one try.
func (c *committer) write(g *group) error {
	j := c.j
	size := int64(len(g.buf))
	if c.active == nil || c.active.size-c.active.tail < size {
		if err := c.roll(); err != nil {
			return err
		}
	}
	seg := c.active
	g.seal(seg.seed, j.boot, j.Synced())
	began := time.Now()
	_, err := seg.file.WriteAt(g.buf, seg.tail)
	if err == nil && j.o.SyncInterval == 0 {
		err = seg.file.Sync()
		j.stats.syncs.Add(1)
	}
	if err == nil && c.gone(seg, began) {
		err = &os.PathError{Op: "commit", Path: seg.path, Err: errGone}
	}
	if err != nil {
		c.syncActive() // what was written before, where that waits for a timer
		c.giveUp(err)
		return err
	}
	g.segment, g.off = seg.number, seg.tail
	seg.marks.note(g, j.boot)
	seg.tail += size
	j.cache.add(g.segment, g.off, g.buf)
	c.noteRoom()
	j.shelf.wrote(seg, g.first, g.last)
	c.heads.note(g)
	if j.o.SyncInterval > 0 {
		if c.unsynced == 0 {
			c.lastSyncAt = began
		}
		c.unsynced = g.last
		if began.Sub(c.lastSyncAt) >= j.o.SyncInterval {
			c.syncActive()
		}
		return nil
	}
	j.synced.Store(uint64(g.last))
	c.markMeta()
	j.setBound(c.pace.learn(len(g.buf), time.Since(began)))
	return nil
}

// lookEvery: whoever removes the files of a journal loses what is in them, also
// what was acknowledged just before, so that a moment more of that is not worse.
// To look after each group is: it makes the file system keep the time of the
// next write apart from that of this one, which it then writes with it.
const lookEvery = 20 * time.Millisecond

// gone tells that the segment has no name any more, as of the last look.
func (c *committer) gone(seg *segment, now time.Time) bool {
	if now.Sub(c.lookedAt) < c.lookEvery {
		return false
	}
	c.lookedAt = now
	return seg.file.Gone()
}

func (j *Journal) setBound(bound int) {
	j.mu.Lock()
	j.mu.bound = bound
	j.mu.Unlock()
}

// roll makes the next segment the active one.
func (c *committer) roll() error {
	if c.unsynced > 0 {
		c.syncActive()
	}
	seg, err := c.j.shelf.take()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoSegment, err)
	}
	c.active, c.marked = seg, 0
	c.noteRoom()
	c.j.stats.rolls.Add(1)
	return nil
}

// noteRoom tells Append what is left for records that are not reserved.
func (c *committer) noteRoom() {
	room := c.active.size - c.active.tail
	if c.active.reserve {
		room = 0
	}
	c.j.room.Store(room)
}

// giveUp turns away from the active segment after an error.
func (c *committer) giveUp(err error) {
	seg := c.active
	if seg == nil {
		return
	}
	c.active = nil
	c.j.stats.syncErrors.Add(1)
	c.j.room.Store(0)
	c.j.shelf.giveUp(seg)
	if f := c.j.o.Events.SyncFailed; f != nil {
		f(segmentName(seg.number), err)
	}
}

// syncActive is the sync by timer.
func (c *committer) syncActive() {
	j := c.j
	upTo := c.unsynced
	c.unsynced = 0
	c.lastSyncAt = time.Now()
	if c.active == nil || upTo == 0 {
		return
	}
	j.stats.syncs.Add(1)
	if err := c.active.file.Sync(); err != nil {
		from := j.Synced() + 1
		c.giveUp(err)
		if f := j.o.Events.Unguarded; f != nil {
			f(from, upTo, err)
		}
	}
	j.synced.Store(uint64(upTo))
	c.markMeta()
}

// findPlace makes room for a mark before the keeper runs.
func (c *committer) findPlace() error {
	if c.active != nil && c.active.size-c.active.tail >= sector {
		return nil
	}
	seg, err := c.j.shelf.ready()
	if err != nil {
		return err
	}
	c.active = seg
	return nil
}

// mark writes and syncs a frame without records.
func (c *committer) mark(first, synced edgestore.LSN, flags uint32) error {
	if c.active == nil || c.active.size-c.active.tail < sector {
		if err := c.roll(); err != nil {
			return err
		}
	}
	seg := c.active
	if err := c.putMark(first, synced, flags); err != nil {
		c.giveUp(err)
		return err
	}
	if err := seg.file.Sync(); err != nil {
		c.giveUp(err)
		return err
	}
	seg.tail += sector
	c.j.shelf.marked(seg, first, synced)
	return nil
}

// idleMark writes, without a sync, that everything so far is synced. The next
// group overwrites it: both say so.
func (c *committer) idleMark() {
	if c.active == nil || c.active.size-c.active.tail < sector || c.marked == c.active.tail {
		return
	}
	synced := c.j.Synced()
	// An error is left to the next group to meet: nothing depends on this.
	_ = c.putMark(synced+1, synced, 0)
	c.marked = c.active.tail
}

func (c *committer) putMark(first, synced edgestore.LSN, flags uint32) error {
	b := c.markBuf[:]
	n := c.heads.putMark(b, c.active.seed, &frame{first: first, synced: synced, boot: c.j.boot, flags: flags})
	_, err := c.active.file.WriteAt(b[:n], c.active.tail)
	return err
}

// openMeta opens the place of the second mark. Where the file can be mapped a
// mark costs no call, and its file no new time to be written with every sync.
func (c *committer) openMeta() (err error) {
	c.metaFile, err = c.j.o.FS.Open(c.j.shelf.path(metaName))
	if err != nil {
		return err
	}
	c.meta, c.metaPage = c.metaFile, markPage
	if f, ok := c.metaFile.(vfs.Mapper); ok {
		if m, err := f.Map(metaSize); err == nil {
			c.meta, c.metaMap = m, m
		}
	}
	return nil
}

func (c *committer) closeMeta() error {
	if c.metaFile == nil {
		return nil
	}
	return errors.Join(c.unmapMeta(), c.metaFile.Close())
}

func (c *committer) unmapMeta() error {
	m := c.metaMap
	if m == nil {
		return nil
	}
	c.meta, c.metaMap = c.metaFile, nil
	return m.Close()
}

// markMeta writes, without a sync, that everything so far is synced, away from
// the pages that it vouches for. It comes before what was synced is applied: so
// whatever a client was told, a mark or a later frame speaks of it, unless the
// power goes before the kernel has written either. It takes the page that the
// mark before did not take, which stays whole if this write does not end.
func (c *committer) markMeta() {
	n := c.putMetaMark(c.metaBuf[:])
	c.metaPage = markPage + mark2Page - c.metaPage
	_, err := c.meta.WriteAt(c.metaBuf[:n], c.metaPage)
	if err != nil && c.metaMap != nil {
		_ = c.unmapMeta() // the call says better what is wrong
		_, err = c.meta.WriteAt(c.metaBuf[:n], c.metaPage)
	}
	if f := c.j.o.Events.SyncFailed; err != nil && !c.metaFailed && f != nil {
		f(metaName, err)
	}
	c.metaFailed = err != nil
}

func (c *committer) putMetaMark(b []byte) int {
	synced := c.j.Synced()
	return c.heads.putMark(b, markSeed(c.j.shelf.id), &frame{first: synced + 1, synced: synced, boot: c.j.boot})
}

// stall makes Append refuse until the disk takes what it was given.
func (j *Journal) stall(err error) {
	err = fmt.Errorf("journal does not take anything for now: %w", wrapSpace(err))
	j.mu.Lock()
	if j.mu.refused == nil {
		j.mu.refused = err
	}
	j.mu.Unlock()
	j.stats.stalled.Store(true)
	if _, listErr := j.o.FS.List(j.o.Dir); errors.Is(listErr, os.ErrNotExist) {
		if f := j.o.Events.FolderGone; f != nil {
			f(j.o.Dir, err)
		}
	}
	j.wakeWaiters(fmt.Errorf("journal sync: %w", err))
	if f := j.o.Events.Stalled; f != nil {
		f(err)
	}
}

func (j *Journal) unstall() {
	j.mu.Lock()
	if !j.mu.closed {
		j.mu.refused = nil
	}
	j.mu.Unlock()
	j.stats.stalled.Store(false)
	if f := j.o.Events.Resumed; f != nil {
		f()
	}
}

// abandon counts what a closing journal could not write.
func (c *committer) abandon(g *group, err error) error {
	n := 0
	c.kicked = true
	for ; g != nil; g = c.takeGroup() {
		n += len(g.refs)
		g.lost = true
		c.j.toApply <- g
	}
	return fmt.Errorf("%d records, none of them acknowledged, were not written: %w", n, err)
}
