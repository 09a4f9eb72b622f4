package jetstream

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// maxMsgID bounds a Nats-Msg-Id that is published.
const maxMsgID = 1 << 10

// dedup remembers the message ids of a stream for the length of its window, by
// a clock of its own (idClock) that only operations move. Ids outlive the
// messages they came with, so a message that was stored and deleted is still
// known after a restart.
//
// Those that came last are in memory, and on disk in rows of the store: a flush
// writes a row with what is new. When they have become many they are written to
// a run, a file in the order of their hashes of which only a filter stays in
// memory; runs that have become many are merged (dedup_runs.go). Rows and runs
// go when their last id is out of the window.
//
// What is known depends on the operations alone, never on what was written
// when: an id is out of the window when it came at or before the horizon, and
// the horizon never goes back.
//
// A stream without ids has none: nil knows nothing.
type dedup struct {
	window time.Duration
	key    edgestore.IDKey
	clock  idClock
	floor  int64 // what came at or before it is forgotten, whatever the window

	fresh   freshIDs
	sealed  uint64     // ordinal: fresh ids below it are in rows
	rows    []dedupRow // oldest first
	nextRow uint64
	gone    []string // rows to delete

	runs     []*edgestore.IDRun // oldest first
	nextRun  uint64
	named    []edgestore.IDRunInfo // loading: runs that are not open yet
	retired  []*edgestore.IDRun    // not in runs any more since the last seal
	retiring []*edgestore.IDRun    // since the one before: they go when it is durable
}

// dedupRow is a row of the store with ids.
type dedupRow struct {
	number uint64
	end    uint64 // ordinal behind its last id
}

// horizon is up to when ids are out of the window.
func (d *dedup) horizon() int64 { return max(d.floor, d.clock.now-int64(d.window)) }

// advance moves the clock on: every operation of the stream does.
func (d *dedup) advance(to *edgestore.Stamp) {
	if d != nil && d.clock.started {
		d.clock.advance(to)
	}
}

// seen reports the sequence that id was stored with, if that was within the
// window. An error of class edgestore.ErrCorrupt says that nobody knows, for
// good; after another one nothing may be decided.
func (d *dedup) seen(id []byte) (seq uint64, known bool, err error) {
	seq, known, older := d.recent(id)
	if !known {
		return older.find(id)
	}
	return seq, known, nil
}

// recent is seen for ids in memory. What is not known there may be in older.
func (d *dedup) recent(id []byte) (seq uint64, known bool, older olderIDs) {
	if d == nil || d.window <= 0 || !d.clock.started {
		return 0, false, older
	}
	horizon, hash := d.horizon(), d.key.Hash(id)
	if e, ok := d.fresh.find(hash, id); ok {
		return e.seq, e.at > horizon, older
	}
	return 0, false, olderIDs{d.runs, hash, horizon}
}

// olderIDs are the runs of a moment. They do not change, and whoever looks into
// them needs no lock; the file of one that was merged meanwhile may be gone, which
// is an error.
type olderIDs struct {
	runs    []*edgestore.IDRun
	hash    uint64
	horizon int64
}

// mayHave: false is sure, and says it without the disk.
func (o *olderIDs) mayHave() bool {
	for _, r := range slices.Backward(o.runs) {
		if r.Last <= o.horizon {
			break
		}
		if r.MayHave(o.hash) {
			return true
		}
	}
	return false
}

func (o *olderIDs) find(id []byte) (seq uint64, known bool, err error) {
	for _, r := range slices.Backward(o.runs) {
		if r.Last <= o.horizon {
			break
		}
		x, ok, err := r.Find(o.hash, id)
		if err != nil {
			return 0, false, err
		}
		if ok {
			return x.Seq, x.At > o.horizon, nil
		}
	}
	return 0, false, nil
}

// add takes note of an id that came with an operation of the time now.
func (d *dedup) add(id []byte, seq uint64, now *edgestore.Stamp) {
	if d.window <= 0 {
		return
	}
	d.start(now)
	d.fresh.add(d.key.Hash(id), id, seq, d.clock.now)
	d.prune()
}

// start begins with the first id: a stream without any costs nothing.
func (d *dedup) start(now *edgestore.Stamp) {
	if d.key == (edgestore.IDKey{}) {
		var b [16]byte
		rand.Read(b[:])
		d.key = edgestore.IDKey{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]) | 1}
	}
	if !d.clock.started {
		d.clock.started, d.clock.now = true, d.floor+1
		d.clock.advance(now)
	}
}

// prune lets go of what is in memory and out of the window.
func (d *dedup) prune() {
	horizon := d.horizon()
	for d.fresh.len() > 0 && d.fresh.get(d.fresh.first).at <= horizon {
		d.fresh.drop(d.fresh.first + 1)
	}
	d.sealed = max(d.sealed, d.fresh.first)
}

// setWindow changes the window; 0 forgets everything. What was out of the
// window stays out of it.
func (d *dedup) setWindow(w time.Duration) {
	if d == nil {
		return
	}
	was := d.window
	d.window = max(w, 0)
	if was > 0 && d.window != was {
		d.floor = max(d.floor, d.clock.now-int64(was))
	}
	if d.window == 0 && d.clock.started {
		d.floor = d.clock.now
		d.clock.now++ // what comes with the same operation came later
		d.prune()
	}
}

// idClock counts the time that has passed from operation to operation, as far
// as it is certain. Within one boot the monotonic clock tells. Across boots wall
// clocks do when both were known to be right, and else only the time since the
// later boot is sure: a device that starts in 1970 must not forget its message
// ids when its clock is set. It never goes back.
type idClock struct {
	started  bool
	now      int64           // nanoseconds
	last     edgestore.Stamp // of the newest operation
	synced   edgestore.Stamp // of the newest one whose wall clock was right
	syncedAt int64           // now, then; 0 and no synced: none
}

func (c *idClock) advance(to *edgestore.Stamp) {
	first := c.last.Boot != to.Boot
	switch {
	case c.last == (edgestore.Stamp{}): // the first
		c.last = *to
	case first:
		c.now += max(to.Mono, 0)
		c.last = *to
	case to.Mono > c.last.Mono:
		c.now += to.Mono - c.last.Mono
		c.last = *to
	}
	if !to.Synced {
		return
	}
	if c.synced.Synced && first {
		if away := to.Wall - c.synced.Wall; away > 0 && c.syncedAt <= math.MaxInt64-away {
			c.now = max(c.now, c.syncedAt+away)
		}
	}
	c.synced, c.syncedAt = *to, c.now
}

// freshIDs are ids in memory, in the order in which they came. Each has an
// ordinal, which grows by one from id to id.
type freshIDs struct {
	first, end uint64 // ordinals
	chunks     []*idChunk
	slots      map[uint64]uint64 // hash -> ordinal of the newest
	clashes    map[string]uint64 // ids whose hash another one has: practically none
	weight     int               // bytes, about
}

// idChunk holds the ids of idsPerChunk ordinals, but for the first ones, which
// were dropped before it was made.
type idChunk struct {
	dropped uint64
	data    []byte
	list    []freshID
}

type freshID struct {
	hash uint64
	seq  uint64
	at   int64
	off  uint32
	n    uint32
}

const (
	idsPerChunk = 1024
	idWeight    = 48 // of an id beside its bytes
)

func (f *freshIDs) len() int { return int(f.end - f.first) }

func (f *freshIDs) chunk(ordinal uint64) *idChunk {
	return f.chunks[ordinal/idsPerChunk-f.first/idsPerChunk]
}

func (f *freshIDs) get(ordinal uint64) *freshID { return f.chunk(ordinal).get(ordinal) }

func (c *idChunk) get(ordinal uint64) *freshID { return &c.list[ordinal%idsPerChunk-c.dropped] }

// id is borrowed.
func (f *freshIDs) id(ordinal uint64) []byte {
	c := f.chunk(ordinal)
	e := c.get(ordinal)
	return c.data[e.off : e.off+e.n]
}

func (f *freshIDs) find(hash uint64, id []byte) (*freshID, bool) {
	if ordinal, ok := f.slots[hash]; ok && string(f.id(ordinal)) == string(id) {
		return f.get(ordinal), true
	}
	if ordinal, ok := f.clashes[string(id)]; ok {
		return f.get(ordinal), true
	}
	return nil, false
}

func (f *freshIDs) add(hash uint64, id []byte, seq uint64, at int64) {
	if f.slots == nil {
		f.slots = make(map[uint64]uint64)
	}
	if f.end%idsPerChunk == 0 || len(f.chunks) == 0 {
		f.chunks = append(f.chunks, &idChunk{dropped: f.end % idsPerChunk})
	}
	c := f.chunks[len(f.chunks)-1]
	c.list = append(c.list, freshID{hash, seq, at, uint32(len(c.data)), uint32(len(id))})
	c.data = append(c.data, id...)
	f.weight += len(id) + idWeight
	if was, ok := f.slots[hash]; ok && string(f.id(was)) != string(id) {
		if f.clashes == nil {
			f.clashes = make(map[string]uint64)
		}
		f.clashes[string(id)] = f.end
	} else {
		f.slots[hash] = f.end
	}
	f.end++
}

// drop forgets those below an ordinal.
func (f *freshIDs) drop(to uint64) {
	for ; f.first < to; f.first++ {
		e := f.get(f.first)
		if f.slots[e.hash] == f.first {
			delete(f.slots, e.hash)
		}
		if len(f.clashes) > 0 {
			if id := string(f.id(f.first)); f.clashes[id] == f.first {
				delete(f.clashes, id)
			}
		}
		f.weight -= int(e.n) + idWeight
		if f.first%idsPerChunk == idsPerChunk-1 || f.first+1 == f.end {
			// Whoever writes them to a run still reads the chunk.
			f.chunks[0] = nil
			f.chunks = f.chunks[1:]
		}
	}
	if f.first == f.end {
		f.chunks, f.slots = nil, nil // a map never gets smaller
	}
}
