package journal

import (
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// Options of a journal. The zero value of each field means its default.
type Options struct {
	// FS is the file system; the machine's by default.
	FS vfs.FS
	// Dir is the folder of the journal, which must be its alone. Required.
	Dir string

	// SegmentBytes is the size of one segment file. A record must fit into
	// one. By default 1/256 of the free disk, between 1 and 32 MB.
	SegmentBytes int64
	// BallastBytes is a file that only takes room, given up when the disk is
	// full so that the stores can write while they drain the journal. By
	// default half a segment; negative is none.
	BallastBytes int64
	// SharedDisk: what drains the journal writes to the same disk. Then no
	// segment is begun without the room that draining it and all before takes.
	SharedDisk bool
	// KeepFree is how many drained segments are kept for reuse. By default 2.
	KeepFree int

	// CommitInterval is how long the committer waits for more records before
	// it writes; 0 is not at all.
	CommitInterval time.Duration
	// SyncInterval above 0 gives up the guarantee: records are applied when
	// they are written, and the disk is synced by this timer.
	SyncInterval time.Duration

	// GroupBytes bounds a group from above; below that the bound follows the
	// speed of the disk. By default 1 MB, and at most a quarter segment.
	GroupBytes int
	// StagedBytes bounds what waits for the disk or for apply; more is
	// refused with ErrBusy. By default 8 MB, and at most half a segment.
	StagedBytes int64
	// CacheBytes is the window of recent records that Read serves without the
	// disk. By default 4 MB; negative is none.
	CacheBytes int64

	// LockWait is how long Open waits for a folder that another process holds.
	// By default 5 s; negative is not at all.
	LockWait time.Duration

	// Events is told what an operator should hear.
	Events Events
	// Rand gives the id of a new journal; crypto/rand by default.
	Rand io.Reader
}

// Events are called from the goroutines of the journal; they must not block
// and not call the journal. Any may be nil.
type Events struct {
	// SyncFailed: a write or sync of a segment failed, and the file was given
	// up. The records go to another segment; nothing is lost.
	SyncFailed func(segment string, err error)
	// Stalled: the journal takes no more records until Resumed; nothing was
	// lost and nothing acknowledged. It goes on trying by itself.
	Stalled func(err error)
	Resumed func()
	// Full: there is no room for another segment; only AppendReserved is taken
	// until Roomy.
	Full  func(err error)
	Roomy func()
	// Unprepared: another segment can't be made, and not for want of room; the
	// keeper goes on trying. Until Prepared only AppendReserved is taken.
	Unprepared func(err error)
	Prepared   func()
	// Damaged: records that had been durable could not be read back.
	Damaged func(Lost)
	// Unguarded: with SyncInterval, records up to upTo and above from may not
	// have reached the disk, because its sync failed.
	Unguarded func(from, upTo edgestore.LSN, err error)
	// ReadFailed: the disk failed to read a file. It is tried again; where that
	// helps nothing more is heard of it, else whoever wanted to read fails.
	// Nothing is taken for damaged because of it.
	ReadFailed func(file string, err error)
	// FolderGone: the files of the journal were removed under it. Nothing is
	// acknowledged any more: Stalled comes with it. Only a start helps.
	FolderGone func(folder string, err error)
}

const (
	minSegment = 64 << 10
	maxSegment = 1 << 30
	minGroup   = 16 << 10
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("journal: no folder given")
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.SegmentBytes < 0 || o.SegmentBytes > maxSegment {
		return o, fmt.Errorf("journal: segments of %d bytes: at most %d are possible", o.SegmentBytes, maxSegment)
	}
	if o.SegmentBytes > 0 {
		o.SegmentBytes = max(align(o.SegmentBytes), minSegment)
	}
	if o.KeepFree == 0 {
		o.KeepFree = 2
	}
	switch {
	case o.CacheBytes == 0:
		o.CacheBytes = 4 << 20
	case o.CacheBytes < 0:
		o.CacheBytes = 0
	}
	if o.GroupBytes <= 0 {
		o.GroupBytes = 1 << 20
	}
	if o.LockWait == 0 {
		o.LockWait = 5 * time.Second
	}
	return o, nil
}

// scaleToDevice fills in what depends on the disk; the folder exists.
func (o *Options) scaleToDevice() {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 16 << 20
		if free, err := o.FS.Free(o.Dir); err == nil && free >= 0 {
			o.SegmentBytes = min(max(free/256, 1<<20), 32<<20) &^ (1<<20 - 1)
		}
	}
	if o.BallastBytes == 0 {
		o.BallastBytes = o.SegmentBytes / 2
	}
	if o.StagedBytes <= 0 {
		// No more than fits into the reserve when the disk turns out to be full.
		o.StagedBytes = min(8<<20, o.SegmentBytes/2)
	}
	o.GroupBytes = max(minGroup, min(o.GroupBytes, int(o.SegmentBytes/4)))
}
