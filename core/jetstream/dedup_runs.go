package jetstream

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
)

// What the store keeps of message ids, see FORMAT.md.
const (
	auxIDs       = "ids"  // clock, key and runs
	auxIDRow     = "ids/" // a row of ids
	auxOldIDs    = "dup/" // a row of ids as it was written once
	maxIDRows    = 64     // then they become one
	idRunMerge   = 4      // so many runs of like size become one
	maxOpenedIDs = 1 << 20
)

const (
	// defaultIDBytes of ids in memory become a run; three times as much do not
	// wait for the next drain.
	defaultIDBytes = 1 << 20
	// idsMostRatio times as much is all that memory holds: publishers wait then,
	// and are refused when the disk does not take them.
	idsMostRatio = 24
	// idRunRatio bounds a run that merging makes to so many times as much: a
	// drain waits for it.
	idRunRatio = 32
)

func idRowKey(n uint64) string { return fmt.Sprintf("%s%016x", auxIDRow, n) }

// seal gives what has to be written for the state of now.
func (d *dedup) seal() (aux []edgestore.Aux) {
	if d == nil {
		return nil
	}
	horizon := d.horizon()
	d.prune()
	for len(d.rows) > 0 && d.rows[0].end <= d.fresh.first {
		d.gone = append(d.gone, idRowKey(d.rows[0].number))
		d.rows = d.rows[1:]
	}
	kept := d.runs[:0:0]
	for _, r := range d.runs {
		if r.Last <= horizon {
			d.retired = append(d.retired, r)
		} else {
			kept = append(kept, r)
		}
	}
	d.runs = kept
	if len(d.rows) >= maxIDRows {
		d.dropRows()
		d.sealed = d.fresh.first
	}
	for _, key := range d.gone {
		aux = append(aux, edgestore.Aux{Key: key})
	}
	d.gone = nil
	if !d.clock.started {
		return aux
	}
	if d.sealed < d.fresh.end {
		aux = append(aux, edgestore.Aux{Key: idRowKey(d.nextRow), Value: d.fresh.appendRow(nil, d.sealed)})
		d.rows = append(d.rows, dedupRow{d.nextRow, d.fresh.end})
		d.nextRow++
		d.sealed = d.fresh.end
	}
	d.retiring = append(d.retiring, d.retired...)
	d.retired = nil
	return append(aux, edgestore.Aux{Key: auxIDs, Value: d.append(nil)})
}

func (d *dedup) dropRows() {
	for _, r := range d.rows {
		d.gone = append(d.gone, idRowKey(r.number))
	}
	d.rows = nil
}

// flushed is called when what was sealed last is durable: it gives the runs
// whose files nothing needs any more.
func (d *dedup) flushed() []*edgestore.IDRun {
	if d == nil {
		return nil
	}
	gone := d.retiring
	d.retiring = nil
	return gone
}

func (f *freshIDs) appendRow(b []byte, from uint64) []byte {
	b = msgp.AppendUint64(b, f.end-from)
	for ; from < f.end; from++ {
		e := f.get(from)
		b = msgp.AppendBytes(b, f.id(from))
		b = msgp.AppendUint64(b, e.seq)
		b = msgp.AppendInt64(b, e.at)
	}
	return b
}

func appendStamp(b []byte, s *edgestore.Stamp) []byte {
	b = msgp.AppendUint64(b, uint64(s.Boot))
	b = msgp.AppendInt64(b, s.Mono)
	b = msgp.AppendInt64(b, s.Wall)
	return msgp.AppendBool(b, s.Synced)
}

func (r *opReader) stamp() edgestore.Stamp {
	return edgestore.Stamp{Boot: uint32(r.uint()), Mono: r.int(), Wall: r.int(), Synced: r.bool()}
}

func (d *dedup) append(b []byte) []byte {
	b = msgp.AppendUint64(msgp.AppendUint64(b, d.key[0]), d.key[1])
	b = msgp.AppendInt64(msgp.AppendInt64(b, d.clock.now), d.floor)
	b = appendStamp(appendStamp(b, &d.clock.last), &d.clock.synced)
	b = msgp.AppendInt64(b, d.clock.syncedAt)
	b = msgp.AppendUint64(msgp.AppendUint64(b, d.nextRow), d.nextRun)
	b = msgp.AppendUint64(b, uint64(len(d.runs)))
	for _, r := range d.runs {
		b = msgp.AppendUint64(b, r.Number)
		b = msgp.AppendUint64(b, r.Count)
		b = msgp.AppendUint64(b, r.End)
		b = msgp.AppendUint64(b, r.Size)
		b = msgp.AppendUint64(b, uint64(r.CRC))
		b = msgp.AppendInt64(msgp.AppendInt64(b, r.First), r.Last)
	}
	return b
}

// load takes over a value of the store. They come in the order of their keys.
func (d *dedup) load(key string, value []byte) error {
	r := opReader{b: value}
	switch {
	case key == auxIDs:
		return d.loadState(&r)
	case strings.HasPrefix(key, auxOldIDs):
		return d.loadOld(key, &r)
	}
	hex, ok := strings.CutPrefix(key, auxIDRow)
	n, err := strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil {
		return fmt.Errorf("row of message ids %q: %w", key, edgestore.ErrCorrupt)
	}
	for left := r.uint(); left > 0 && r.err == nil; left-- {
		id, seq, at := r.bytes(), r.uint(), r.int()
		if r.err == nil {
			d.fresh.add(d.key.Hash(id), id, seq, at)
		}
	}
	d.rows = append(d.rows, dedupRow{n, d.fresh.end})
	d.sealed = d.fresh.end
	return r.done("row of message ids")
}

func (d *dedup) loadState(r *opReader) error {
	d.key = edgestore.IDKey{r.uint(), r.uint()}
	d.clock = idClock{started: true, now: r.int()}
	d.floor = r.int()
	d.clock.last, d.clock.synced, d.clock.syncedAt = r.stamp(), r.stamp(), r.int()
	d.nextRow, d.nextRun = r.uint(), r.uint()
	for left := min(r.uint(), maxOpenedIDs); left > 0 && r.err == nil; left-- {
		d.named = append(d.named, edgestore.IDRunInfo{
			Number: r.uint(), Count: r.uint(), End: r.uint(), Size: r.uint(), CRC: uint32(r.uint()), First: r.int(), Last: r.int(),
		})
	}
	return r.done("message ids")
}

// loadOld reads a row of the form that had the whole time of each id. The next
// flush writes it anew.
func (d *dedup) loadOld(key string, r *opReader) error {
	for left := r.uint(); left > 0 && r.err == nil; left-- {
		id, seq, at := r.string(), r.uint(), r.stamp()
		if r.err != nil {
			break
		}
		d.start(&at)
		d.advance(&at)
		d.fresh.add(d.key.Hash([]byte(id)), []byte(id), seq, d.clock.now)
	}
	d.gone = append(d.gone, key)
	return r.done("message ids")
}

// openIDs opens the runs that the store names, and removes the others. What is
// damaged is told, and wounds the stream for the recovery.
func (s *stream) openIDs() error {
	if s.memory {
		return nil
	}
	d := s.dedup
	if st, ok := s.store.(interface{ NoIDRuns() bool }); ok && d == nil && st.NoIDRuns() {
		return nil
	}
	dir, disk := s.where(), s.e.cfg.idDisk
	if d == nil {
		return edgestore.RemoveIDRuns(disk, dir, func(uint64) bool { return false })
	}
	for _, info := range d.named {
		r, err := edgestore.OpenIDRun(disk, dir, s.incarnation, info)
		switch {
		case err == nil:
			d.runs = append(d.runs, r)
		case errors.Is(err, edgestore.ErrCorrupt):
			s.idsLost(err)
			// With nothing else to write the store would name it still, and each start
			// tell of it once more.
			if s.dirtyFrom == 0 {
				s.dirtyFrom = max(s.applied, 1)
			}
		default:
			return fmt.Errorf("message ids: %w", err)
		}
	}
	d.named = nil
	return edgestore.RemoveIDRuns(disk, dir, func(n uint64) bool {
		return slices.ContainsFunc(d.runs, func(r *edgestore.IDRun) bool { return r.Number == n })
	})
}

// idsLost tells that message ids can't be read.
func (s *stream) idsLost(err error) {
	s.watch.hurt.Store(true)
	s.e.report(Damage{
		Kind: DamageIDs, Account: s.acct.name, Stream: s.name, Where: s.where(),
		What: fmt.Sprintf("message ids of stream %q can not be read: %v; no message is lost, but one of these that is published again is stored again", s.name, err),
		Do:   "look at the health of the disk or card, then acknowledge this",
	})
}

// seenID reports whether the message's id is known. What it says depends on no
// disk: when one does not read, the stream stops rather than guess. When ids are
// damaged they are not known, and a recovery, which may have known them once,
// goes by the notes from there on. The disk may give them right the next time: that
// they were not known is noted.
func (s *stream) seenID(id []byte) (seq uint64, known bool, err error) {
	seq, known, older := s.dedup.recent(id)
	if known || !older.mayHave() {
		return seq, known, nil
	}
	older.runs = slices.Clone(older.runs)
	var lost error
	err = s.readAgain(edgestore.ErrCold, func() (err error) {
		lost = nil
		if seq, known, err = older.find(id); err == nil {
			return nil
		}
		if s.newerRuns(id, &older) {
			return edgestore.ErrCold
		}
		if err = fmt.Errorf("message ids: %w", err); errors.Is(err, edgestore.ErrCorrupt) {
			lost = err
			return nil
		}
		return err
	})
	if err == nil && known {
		var stored bool
		if stored, err = s.notedUnknown(); stored {
			return 0, false, nil
		}
	}
	if err != nil || lost == nil {
		return seq, known, err
	}
	s.idsLost(lost)
	if err = s.goByNotes(); err == nil {
		s.guessed = s.role == leader
	}
	return 0, false, err
}

// notedUnknown reports whether a note says of the operation that a recovery applies
// that its id could not be read.
func (s *stream) notedUnknown() (bool, error) {
	if s.role != recovering || s.wounded || s.e.replay == nil {
		return false, nil
	}
	notes, err := s.e.replay.notesOf(s.incarnation)
	if err != nil {
		return false, s.fail(err)
	}
	n, noted := notes.of(s.done.Seat + 1)
	return noted && n.delta == 0, nil
}

// newerRuns looks whether a drain has put other runs in the place of older: their
// files are gone then.
func (s *stream) newerRuns(id []byte, older *olderIDs) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, _, now := s.dedup.recent(id)
	if slices.Equal(now.runs, older.runs) {
		return false
	}
	*older = now
	older.runs = slices.Clone(now.runs)
	return true
}

// ids is what is known of message ids, made now if need be.
func (s *stream) ids() *dedup {
	if s.dedup == nil {
		s.dedup = new(dedup)
		if s.view.Load() != nil {
			s.dedup.setWindow(s.config().Duplicates)
		}
	}
	return s.dedup
}

// rememberID takes note of the id of a message.
func (s *stream) rememberID(m *incoming) {
	if s.dedup == nil && s.config().Duplicates <= 0 {
		return
	}
	d := s.ids()
	before := d.fresh.weight
	d.add(m.id, m.Seq, &m.stamp)
	if wake := s.e.cfg.idsWake; s.role != recovering && !s.memory && d.fresh.weight/wake > before/wake {
		s.e.drain.kick()
	}
	s.weighIDs()
}

// weighIDs looks whether memory holds as many ids as it may. Only what is
// published now is held up by that, never an operation that is logged already:
// what an id decides must not depend on what was written when.
func (s *stream) weighIDs() {
	s.idsFull.Store(!s.memory && s.dedup != nil && s.dedup.fresh.weight >= s.e.cfg.idsMost)
}

// packIDs writes the ids in memory to a run when they are many, and merges runs.
// What comes of it is durable with the flush of the next seal; until then
// nothing is given up. Only the drain calls it.
func (s *stream) packIDs() error {
	if s.memory || s.store.Applied() == 0 {
		return nil // its folder is made by a flush
	}
	limit := s.e.cfg.idBytes
	s.mu.RLock()
	d := s.dedup
	if d == nil {
		s.mu.RUnlock()
		return nil
	}
	stopped := s.deleted || s.failed != nil
	due := !stopped && d.fresh.weight >= limit
	var ids idSnapshot
	if due {
		ids = d.fresh.snapshot(d.horizon())
	}
	number := d.nextRun
	s.mu.RUnlock()
	if stopped {
		return nil
	}
	if due {
		run, err := s.writeIDs(&ids, number)
		if err != nil {
			return fmt.Errorf("message ids: %w", err)
		}
		s.mu.Lock()
		if run != nil {
			d.nextRun++
			d.runs = append(d.runs, run)
		}
		d.fresh.drop(max(ids.end, d.fresh.first))
		d.sealed = max(d.sealed, d.fresh.first)
		d.dropRows()
		s.weighIDs()
		s.mu.Unlock()
	}
	for {
		from, to := mergeIDs(d.runs, uint64(idRunRatio*limit))
		if from == to {
			return nil
		}
		if err := s.mergeIDs(from, to); err != nil {
			return fmt.Errorf("message ids: %w", err)
		}
	}
}

// idSnapshot is what is in memory at some moment, in the order of the hashes.
type idSnapshot struct {
	end    uint64 // ordinal
	chunks []idChunk
	sorted []idPlace
}

type idPlace struct {
	hash  uint64
	chunk uint32
	at    uint32
}

// snapshot lists what came after horizon. What is added later is appended
// behind it, so it may be read without the lock.
func (f *freshIDs) snapshot(horizon int64) idSnapshot {
	x := idSnapshot{end: f.end, sorted: make([]idPlace, 0, f.len())}
	for _, c := range f.chunks {
		x.chunks = append(x.chunks, *c)
	}
	for o := f.first; o < f.end; o++ {
		chunk := o/idsPerChunk - f.first/idsPerChunk
		c := &x.chunks[chunk]
		if e := c.get(o); e.at > horizon {
			x.sorted = append(x.sorted, idPlace{e.hash, uint32(chunk), uint32(o%idsPerChunk - c.dropped)})
		}
	}
	return x
}

func (x *idSnapshot) id(p idPlace) edgestore.ID {
	c := &x.chunks[p.chunk]
	e := &c.list[p.at]
	return edgestore.ID{ID: c.data[e.off : e.off+e.n], Seq: e.seq, At: e.at}
}

func (s *stream) writeIDs(x *idSnapshot, number uint64) (*edgestore.IDRun, error) {
	if len(x.sorted) == 0 {
		return nil, nil
	}
	slices.SortFunc(x.sorted, func(a, b idPlace) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(b.chunk, a.chunk), cmp.Compare(b.at, a.at)) // the newest first
	})
	w, err := edgestore.CreateIDRun(s.e.cfg.idDisk, s.where(), s.incarnation, number, s.dedup.key, uint64(len(x.sorted)))
	if err != nil {
		return nil, err
	}
	for i, p := range x.sorted {
		id := x.id(p)
		again := false
		for j := i - 1; j >= 0 && x.sorted[j].hash == p.hash && !again; j-- {
			again = bytes.Equal(x.id(x.sorted[j]).ID, id.ID)
		}
		if again {
			continue
		}
		if err := w.Add(p.hash, id); err != nil {
			w.Discard()
			return nil, err
		}
	}
	return w.Finish()
}

// mergeIDs says which runs become one: the newest that are of like size, if that
// makes none above limit. Those above half of it stay as they are.
func mergeIDs(runs []*edgestore.IDRun, limit uint64) (from, to int) {
	sum := uint64(0)
	from, to = len(runs), len(runs)
	for i := to - 1; i >= 0; i-- {
		size := runs[i].Size
		if sum > 0 && size > 2*sum || size > limit/2 || sum+size > limit {
			break
		}
		sum += size
		from = i
	}
	if to-from < idRunMerge {
		return 0, 0
	}
	return from, to
}

func (s *stream) mergeIDs(from, to int) error {
	d := s.dedup
	s.mu.RLock()
	runs, number, dead := slices.Clone(d.runs[from:to]), d.nextRun, d.horizon()
	s.mu.RUnlock()
	merged, err := edgestore.MergeIDRuns(runs, number, dead, s.idsLost)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.nextRun++
	d.retired = append(d.retired, runs...)
	rest := append(slices.Clone(d.runs[:from]), merged)
	d.runs = append(rest, d.runs[to:]...)
	return nil
}

// removeIDs removes the files of runs that nothing names any more. One that
// stays is removed by the next start.
func (s *stream) removeIDs(gone []*edgestore.IDRun) {
	for _, r := range gone {
		if err := r.Remove(); err != nil {
			s.e.logger.Warn("a file of message ids could not be removed", "stream", s.name, "err", err)
		}
	}
}
