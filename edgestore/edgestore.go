// Package edgestore keeps messages on disk for an edge broker: what every part
// of it shares stands here. It is no promise to other programs: it changes
// without notice.
//
// It knows bytes, sequences and subjects, and knows nothing of brokers. Its
// parts are the journal (package journal: one append-only log with group
// commit, which makes things durable), the stream stores of this package (a
// chunk store on bbolt, filled from the journal in the background, and a
// memory store with the same interface) and the file system under the journal
// (package vfs, with a crashable implementation for tests).
//
// Where to start reading: Record and Journal for the way in, Store for what a
// stream reads back.
package edgestore

import "errors"

// LSN is a log sequence number: the position of a record in the journal.
// The first record has LSN 1; 0 means none. LSNs are never reused.
type LSN uint64

// Stamp is the time of a record as the device knew it. A device's wall clock
// may be wrong at boot, so the boot and the monotonic time in it are kept too.
type Stamp struct {
	Boot   uint32 // number of the boot, counted by the journal
	Mono   int64  // nanoseconds since that boot (or since process start)
	Wall   int64  // nanoseconds since 1970, UTC, as far as the user knows them; it never falls
	Synced bool   // the wall clock was known to be right
}

// Record is one operation in the journal.
type Record struct {
	LSN LSN
	// Group, Index and Term belong to replicated groups; group 0 is this
	// machine alone, and its records have neither index nor term.
	Group uint64
	Index uint64
	Term  uint64
	// Kind is the user's; the journal only carries it.
	Kind uint8
	// Incarnation names the stream that the record belongs to and is never
	// reused; 0 is the catalogue.
	Incarnation uint64
	// Seat is the number of this operation within its incarnation: 1, 2, 3 and
	// so on without holes, so that a reader sees what is missing between two of
	// them. 0 is not numbered.
	Seat uint64
	// Place is how many sequences all operations of the stream before this one
	// take, if each takes what it says, as corrected by those up to this one.
	Place uint64
	// Takes: this operation takes one sequence of its stream.
	Takes bool
	// Corrects is what this operation corrects the place by, its own and that of
	// all behind it. It is in memory only, for the place has it.
	Corrects int64
	// Reaches, when not 0, is the sequence that this operation takes the stream to
	// if that is further on: it has one of its own, of a mirror. It is in memory
	// only and says what Takes is: the place has what is passed over.
	Reaches uint64
	// Twice: the record is written a second time, into another page of the
	// same group, so that damage of one page does not lose it.
	Twice bool
	Stamp Stamp
	Data  []byte
	// Chain gives Seat and Place when the record is appended. It is in memory
	// only; without one the record is not numbered.
	Chain *Chain
}

// Chain numbers the operations of one stream in the order of the log. Between
// Open and Close of a log only that log touches it, under its lock.
type Chain struct {
	Seat  uint64 // of the operation appended last
	Place uint64 // that the next operation gets
}

// Head is how far the operations of a stream go.
type Head struct {
	Incarnation uint64
	Chain       Chain // behind its last operation
}

// Next numbers r as the operation behind the last one of the chain.
func (c *Chain) Next(r *Record) {
	c.Seat++
	c.Place += uint64(r.Corrects)
	if r.Reaches > 0 {
		if r.Takes = r.Reaches > c.Place; r.Takes {
			c.Place = r.Reaches - 1
		}
	}
	r.Seat, r.Place = c.Seat, c.Place
	if r.Takes {
		c.Place++
	}
}

// Location says where in the journal some bytes lie. The zero Location is
// nowhere.
type Location struct {
	Segment uint64
	Offset  int64
	Length  uint32
}

// Entry is a record on its way from the journal to whoever applies it.
// Data and Side are valid until the apply function returns.
type Entry struct {
	Record
	// At is where Data lies, so that a store can read it back without a copy
	// of its own.
	At Location
	// Side is what the appender gave to be kept in memory beside the record:
	// it is not on disk, and nil when the record comes from a recovery.
	Side []byte
	// Token is the appender's, in memory only like Side.
	Token any
}

// ReplayHandler takes what a log holds, in the order of the log. An error of
// either call ends the replay.
type ReplayHandler interface {
	// Entry is valid until the call returns.
	Entry(e *Entry) error
	// Hole says that the records from first to last were durable and can't be
	// read. It comes before the entry behind them.
	Hole(first, last LSN) error
}

// RunHandler is a ReplayHandler that takes entries whose LSNs follow each other
// together: it gets them here, and none by Entry.
type RunHandler interface {
	ReplayHandler
	// Entries are valid until the call returns; there is one at least.
	Entries(run []Entry) error
}

// Errors that callers may ask for with errors.Is.
var (
	// ErrNotFound: no message with that sequence or subject.
	ErrNotFound = errors.New("message not found")
	// ErrDeleted: the sequence was stored once and is gone.
	ErrDeleted = errors.New("message deleted")
	// ErrDiskFull: the file system has no room; nothing was stored.
	ErrDiskFull = errors.New("no space left for the journal")
	// ErrBusy: more is waiting for the disk than the memory budget allows.
	ErrBusy = errors.New("too much is waiting for the disk")
	// ErrClosed: the journal or store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrCold: what was asked for is not in memory; see Store.Hot.
	ErrCold = errors.New("not in memory")
	// ErrLost: the message was stored once and is lost to damage.
	ErrLost = errors.New("message lost to damage")
	// ErrFormat: the data was written by a newer version of this program, or on a
	// machine of the other byte order.
	ErrFormat = errors.New("format is not known to this version")
	// ErrCorrupt is the class of everything that a checksum refused.
	ErrCorrupt = errors.New("data is damaged")
	// ErrLocked: another process uses the folder.
	ErrLocked = errors.New("folder is in use already")
)
