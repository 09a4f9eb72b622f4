package edgestore

import "time"

// Msg is one stored message.
type Msg struct {
	Seq     uint64
	Time    int64 // nanoseconds since 1970, UTC
	Subject string
	Header  []byte // complete header block or nil
	Body    []byte
}

// Size is what a message counts towards a stream's bytes: for files 30 bytes
// and its parts, and 4 more when it has a header (the figure that existing
// tools expect).
func (m *Msg) Size() uint64 { return FileSize(len(m.Subject), len(m.Header), len(m.Body)) }

// FileSize is Size from the lengths of the parts.
func FileSize(subject, header, body int) uint64 {
	n := 30 + subject + body
	if header > 0 {
		n += 4 + header
	}
	return uint64(n)
}

// State is what a stream holds.
type State struct {
	Msgs, Bytes       uint64
	FirstSeq, LastSeq uint64 // an empty stream: FirstSeq = LastSeq+1
	FirstTime         time.Time
	LastTime          time.Time // kept when the last message is gone
	NumDeleted        uint64    // gaps between first and last
	NumSubjects       int
}

// SubjectState is what is known of one subject.
type SubjectState struct {
	Msgs  uint64
	First uint64 // sequence of the oldest message
	Last  uint64 // sequence of the newest
}

// Removal is a message as whoever deletes it has to know it.
type Removal struct {
	Seq, Size uint64
	Subject   string
}

// Aux is one named value kept beside the messages: consumer state, dedup ids,
// configuration. A nil Value deletes it.
type Aux struct {
	Key   string
	Value []byte
}

// Store keeps the messages of one stream.
//
// Mutations come from one goroutine at a time (the engine applying the log)
// and in the order of the log. Reads may come from any goroutine, at any time,
// and see whole mutations only.
//
// A file store does not make a mutation durable by itself: the journal did
// that before. It remembers what was applied in memory; Seal and Flush bring
// that down to the store's own files, in one transaction with the LSN up to
// which it was applied. After a restart the engine applies again what lies
// above Applied.
//
// A mutation that has to read does so before it changes anything: after a read
// error nothing is changed, and the call may be made again. Drop, Append and Skip
// read nothing at all, so what decides by what it has read before can't stop in
// the middle. Nothing that is told is guessed because a read failed.
type Store interface {
	Reads
	// Hot is what can be read without the disk, for whoever holds a lock that others
	// want: what can't is ErrCold.
	Hot() Reads
	// Has reports whether a message is there, read or not. It reads nothing.
	Has(seq uint64) bool

	// State tells what the stream holds. FirstTime may have to be read; when that
	// fails it is about right.
	State() State
	// Index is State without FirstTime. It reads nothing.
	Index() State
	// Append adds m with m.Seq = LastSeq+1 or above; a jump leaves a gap. The
	// slices of m are borrowed. blob says where the message's AppendBlob form
	// lies in the journal; a memory store ignores it and copies.
	Append(m *Msg, blob Location) error
	// Skip moves LastSeq forward to last without storing anything.
	Skip(last uint64, at int64)
	// Remove deletes one message and reports its size. A message that cannot be
	// read can be removed too, with the average size of its neighbours: limits
	// must be able to move on. Removing, compacting and purging book what they
	// find unreadable on their way as Lose does.
	Remove(seq uint64) (size uint64, ok bool, err error)
	// Drop deletes messages as Describe and Find told of them, but for those that
	// are gone already, and returns how many. It reads nothing.
	Drop(list []Removal) uint64
	// Compact deletes everything below seq and moves FirstSeq there or, when
	// seq is deleted already, to the first message above it (and LastSeq to
	// seq-1 if the stream ended before).
	Compact(seq uint64) (removed uint64, err error)
	// Purge deletes messages that match filter ("" or ">" is all) below seq
	// (0: no bound), but keeps the newest keep of them. Purging all below seq
	// is Compact.
	Purge(filter string, seq, keep uint64) (removed uint64, err error)

	// Lose books as lost every message in first..last that cannot be read, and
	// every sequence in it above LastSeq, which moves to last if it is below.
	// Messages that can be read stay. What is lost is counted like a gap, in
	// State and for each subject, and stays listed in Damage until a Compact or
	// Purge of everything passes it. n is how many sequences were booked.
	//
	// A read error that is no damage is returned, and nothing is booked then.
	Lose(first, last uint64) (n uint64, err error)

	// LoadPrev reads the last message at or below start that matches.
	LoadPrev(filters []string, start uint64, buf []byte) (Msg, []byte, error)
	// SubjectPage calls f for up to limit of the subjects that match filter, in
	// the order of their names, behind the first offset of them, with how many
	// messages each has. It returns how many match in all. It takes memory for
	// what it calls f with only.
	SubjectPage(filter string, offset, limit int, f func(subject string, msgs uint64)) int
	// Deleted lists the gaps between FirstSeq and LastSeq, ascending, at most max.
	Deleted(max int) []uint64

	// Seal fixes everything applied so far, with chain and aux as of the same
	// moment, as the next thing to be flushed. It is called by the mutating goroutine and
	// is cheap. Sealing twice before a Flush adds up. The values of aux are
	// kept, not copied: they may not change afterwards.
	Seal(applied LSN, chain Chain, aux []Aux)
	// Flush writes what was sealed in one durable transaction. It may be
	// called from another goroutine, one at a time. After an error nothing
	// sealed is lost: the next Flush tries again.
	Flush() error
	// Applied is the LSN that a restart begins above: what the journal has to
	// keep. It never waits for a flush.
	Applied() LSN
	// Chain is the chain of the last operation up to Applied.
	Chain() Chain
	// Aux visits the durable values whose key starts with prefix, in order of
	// their keys, as of the last Flush (or open).
	Aux(prefix string, f func(key string, value []byte) error) error

	// Damage lists ranges of sequences that are lost to damage, those that Lose
	// has booked and those that were only found so far. Those below the first
	// message go when messages before them are removed.
	Damage() []SeqRange
	// Found lists what was found unreadable and is still counted in State: a
	// Lose is due.
	Found() []SeqRange
	Close() error
	// Delete closes the store and removes its files.
	Delete() error
}

// Reads is what a Store is asked that may lie on the disk.
type Reads interface {
	// Describe tells of the first message at or above from, what Drop has to know;
	// Seq is 0 when there is none. One that is not readable is counted, and can
	// not be dropped but only removed. The error is of a read that failed.
	Describe(from uint64) (r Removal, readable bool, err error)
	// Find is Describe for all messages that match filter ("" or ">" is all) and
	// can be read, ascending.
	Find(filter string) ([]Removal, error)
	// ReadPurge reads what a Purge of the same arguments, or Compact(seq) when they
	// are "", seq and 0, has to know: done by the mutating goroutine as the next thing
	// it does to the store, that reads nothing unless there is damage.
	ReadPurge(filter string, seq, keep uint64) error

	// Load reads one message; the error is ErrNotFound, ErrDeleted or ErrLost
	// (and of class ErrDeleted too when Lose has booked it, else ErrCorrupt). A
	// search passes over what is lost. buf is used for the bytes when it is large enough;
	// the result does not alias the store.
	Load(seq uint64, buf []byte) (Msg, []byte, error)
	// LoadNext reads the first message at or above start that matches any of
	// filters (none: all).
	LoadNext(filters []string, start uint64, buf []byte) (Msg, []byte, error)
	// LastFor is the newest message of a literal subject, or of all subjects
	// that match a wildcard; 0 when there is none. The error, here and of the
	// others, is of a read that failed.
	LastFor(filter string) (uint64, error)
	// Subject tells of one literal subject.
	Subject(subject string) (s SubjectState, ok bool, err error)
	// Subjects calls f for each subject that matches filter until f returns
	// false; the order is undefined.
	Subjects(filter string, f func(subject string, s SubjectState) bool) error
	// LastPerSubject lists the newest sequence of each subject that matches
	// any filter and has a message at or above start and at or below upTo
	// (0: no bound), ascending. It fails when the disk does.
	LastPerSubject(filters []string, start, upTo uint64) ([]uint64, error)
	// Count counts messages at or above start that match; with
	// lastPerSubject only the newest of each subject. It is for being told: when
	// the disk does not read it is about right, and no error.
	Count(filters []string, start uint64, lastPerSubject bool) (Count, error)
	// SeqAt is the first sequence stored at or after t; LastSeq+1 when none.
	SeqAt(t time.Time) (uint64, error)
	// Readable is State as a Lose of what was Found will make it: for whoever is
	// told of a store, while what is decided by it is State. It is no error that a
	// read fails.
	Readable() (State, error)
}

// Count is how many messages there were when Last was the newest. It still holds
// for those up to Last while Removals, which counts what was deleted, is the same.
type Count struct{ Msgs, Last, Removals uint64 }

// SeqRange is a range of sequences, both ends included.
type SeqRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}
