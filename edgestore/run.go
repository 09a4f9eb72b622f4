package edgestore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// The subjects of a store are kept as runs: sorted lists of changes, the newest
// of which wins. A flush writes one with what has changed since the last, and
// merges the newest runs when they have grown to the size of an older one, so
// that a subject is rewritten a few times in its life and an open reads few
// runs. Runs are cut into records of about runBlock bytes.

const (
	runBlock = 32 << 10
	runMerge = 4 // so many runs of like size become one
)

// subjectDelta is what a run says of one subject; msgs 0 means that it is gone.
type subjectDelta struct {
	name  string
	msgs  uint64
	first uint64
	last  uint64
	stale uint8
}

// runInfo is a run as the state record lists it, oldest first.
type runInfo struct {
	id     uint64
	blocks uint32
	bytes  uint64
	count  uint64
}

func runKey(id uint64, block uint32) string {
	b := append(make([]byte, 0, 13), kindRun)
	b = binary.BigEndian.AppendUint64(b, id)
	return string(binary.BigEndian.AppendUint32(b, block))
}

// sortDeltas brings lists of changes (older lists first) into one, sorted, with
// the newest of each subject.
func sortDeltas(lists [][]subjectDelta) []subjectDelta {
	n := 0
	for _, l := range lists {
		n += len(l)
	}
	all := make([]subjectDelta, 0, n)
	for i := len(lists) - 1; i >= 0; i-- {
		all = append(all, lists[i]...)
	}
	slices.SortStableFunc(all, func(a, b subjectDelta) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(all, func(a, b subjectDelta) bool { return a.name == b.name })
}

// runWriter cuts sorted changes into blocks.
type runWriter struct {
	put    func(key string, r *record) error
	info   runInfo
	block  []byte
	n      uint64
	last   string
	record record
}

func newRunWriter(id uint64, template record, put func(key string, r *record) error) *runWriter {
	template.kind, template.id = kindRun, id
	return &runWriter{put: put, info: runInfo{id: id}, record: template}
}

func (w *runWriter) add(d *subjectDelta) error {
	shared := 0
	if w.n > 0 {
		for shared < min(len(w.last), len(d.name)) && w.last[shared] == d.name[shared] {
			shared++
		}
	}
	w.block = binary.AppendUvarint(w.block, uint64(shared))
	w.block = binary.AppendUvarint(w.block, uint64(len(d.name)-shared))
	w.block = append(w.block, d.name[shared:]...)
	w.block = binary.AppendUvarint(w.block, d.msgs)
	if d.msgs > 0 {
		w.block = append(w.block, d.stale)
		w.block = binary.AppendUvarint(w.block, d.first)
		w.block = binary.AppendUvarint(w.block, d.last-d.first)
	}
	w.last = d.name
	w.n++
	if len(w.block) >= runBlock {
		return w.cut()
	}
	return nil
}

func (w *runWriter) cut() error {
	if w.n == 0 {
		return nil
	}
	p := binary.AppendUvarint(make([]byte, 0, len(w.block)+10), uint64(w.info.blocks))
	p = binary.AppendUvarint(p, w.n)
	r := w.record
	r.payload = append(p, w.block...)
	if err := w.put(runKey(w.info.id, w.info.blocks), &r); err != nil {
		return err
	}
	w.info.blocks++
	w.info.count += w.n
	w.info.bytes += uint64(len(r.payload) + recordHeader)
	w.block, w.n = w.block[:0], 0
	return nil
}

// decodeRunBlock takes a block apart.
func decodeRunBlock(b []byte, block uint32) ([]subjectDelta, error) {
	r := reader{b: b}
	if r.uvarint(1<<32-1) != uint64(block) && r.err == nil {
		r.fail("another block")
	}
	n := r.uvarint(uint64(len(r.b)))
	var out []subjectDelta
	last := ""
	for i := uint64(0); i < n && r.err == nil; i++ {
		var d subjectDelta
		shared := r.uvarint(uint64(len(last)))
		rest := r.bytes(r.uvarint(maxMessage))
		if r.err != nil {
			break
		}
		d.name = last[:shared] + string(rest)
		if d.name <= last {
			r.fail("names do not ascend")
		}
		if d.msgs = r.uvarint(^uint64(0)); d.msgs > 0 {
			if s := r.bytes(1); len(s) == 1 {
				d.stale = s[0]
			}
			d.first = r.uvarint(^uint64(0))
			span := r.uvarint(^uint64(0))
			d.last = d.first + span
			if r.err == nil && (d.stale&^(staleFirst|staleLast) != 0 || d.last < d.first || d.first == 0 || d.msgs-1 > span) {
				r.fail("impossible subject state")
			}
		}
		last = d.name
		out = append(out, d)
	}
	r.end()
	return out, r.err
}

// runReader walks a run that lies in a bbolt file.
type runReader struct {
	get   func(key string) ([]byte, error)
	info  runInfo
	block uint32
	list  []subjectDelta
}

// peek is the next change; nil at the end.
func (r *runReader) peek() (*subjectDelta, error) {
	for len(r.list) == 0 {
		if r.block == r.info.blocks {
			return nil, nil
		}
		v, err := r.get(runKey(r.info.id, r.block))
		if err != nil {
			return nil, err
		}
		rec, err := parseRecord(v, kindRun)
		if err != nil {
			return nil, fmt.Errorf("run %d block %d: %w", r.info.id, r.block, err)
		}
		if rec.id != r.info.id {
			return nil, fmt.Errorf("run %d block %d: of run %d: %w", r.info.id, r.block, rec.id, ErrCorrupt)
		}
		if r.list, err = decodeRunBlock(rec.payload, r.block); err != nil {
			return nil, fmt.Errorf("run %d block %d: %w", r.info.id, r.block, err)
		}
		r.block++
	}
	return &r.list[0], nil
}

func (r *runReader) pop() { r.list = r.list[1:] }

// mergeRuns writes the runs (oldest first) as one; with bottom set what is gone
// need not be said any more.
func mergeRuns(runs []*runReader, bottom bool, w *runWriter) error {
	err := mergeInto(runs, func(d *subjectDelta) error {
		if d.msgs == 0 && bottom {
			return nil
		}
		return w.add(d)
	})
	if err != nil {
		return err
	}
	return w.cut()
}

// mergeInto calls f for each subject of the runs (oldest first) in order, with
// the newest that is said of it.
func mergeInto(runs []*runReader, f func(d *subjectDelta) error) error {
	for {
		var best *subjectDelta
		for i := len(runs) - 1; i >= 0; i-- {
			d, err := runs[i].peek()
			if err != nil {
				return err
			}
			if d != nil && (best == nil || d.name < best.name) {
				best = d
			}
		}
		if best == nil {
			return nil
		}
		d := *best
		for _, r := range runs {
			if p, err := r.peek(); err != nil {
				return err
			} else if p != nil && p.name == d.name {
				r.pop()
			}
		}
		if err := f(&d); err != nil {
			return err
		}
	}
}

// mergeFrom tells from which run on all should become one; len(runs) if none.
func mergeFrom(runs []runInfo) int {
	sum, n := uint64(0), len(runs)
	from := n
	for i := n - 1; i >= 0; i-- {
		if sum > 0 && runs[i].bytes > 2*sum {
			break
		}
		sum += runs[i].bytes
		from = i
	}
	if n-from < runMerge {
		return n
	}
	return from
}

var recordsBucket, chunksBucket = []byte("r"), []byte("c")

// getIn makes a get function for the records of a transaction.
func getIn(tx *bbolt.Tx) func(key string) ([]byte, error) {
	return func(key string) ([]byte, error) {
		bkt := tx.Bucket(recordsBucket)
		if bkt == nil {
			return nil, fmt.Errorf("no records: %w", ErrCorrupt)
		}
		v := bkt.Get([]byte(key))
		if v == nil {
			return nil, fmt.Errorf("record %q is missing: %w", key, ErrCorrupt)
		}
		return v, nil
	}
}
