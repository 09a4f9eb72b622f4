package edgestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore/vfs"
)

// Table is a small durable map from names to values with the LSN up to which
// it was applied, in one bbolt file: the catalogue of streams. In memory are the
// names, with the checksums of the values, and from the open until Release or the
// first flush the values too. Plain values are rows of it: it knows nothing of
// what they mean.
type Table struct {
	o     TableOptions
	hooks *FileOptions

	mu       sync.Mutex
	values   map[string][]byte // as of the open; nil: no more
	sealed   map[string][]byte // waiting for a flush; nil value: delete
	next     LSN
	dirty    bool
	applied  LSN
	closed   bool
	made     bool
	salvaged *TableSalvage

	flushing sync.Mutex // one flush at a time; guards what follows
	file     *boltFile
	count    uint64            // number of flushes
	sums     map[string]uint32 // checksums of the rows in the file
	renew    bool              // the next flush makes a new file
}

// TableOptions say where a table is and who hears of it. Disk and the hooks
// are those of FileOptions.
type TableOptions struct {
	Path        string
	ReadFailed  func(err error)
	WriteFailed func(err error)
	Disk        vfs.FS
	BeforeWrite func(place string) error
	AfterWrite  func(place string) error
	BeforeRead  func(path, place string) error
}

var tableBucket = []byte("k")

// The state is written twice, under names that no value can have: theirs begin
// with '='.
var tableStateKeys = [2]string{"\x00", "\x01"}

// OpenTableFile opens or makes a table. When something in it is damaged its
// pages are searched, and Salvaged tells what came of it. An error of class
// ErrCorrupt means that nothing was found: the file is as it was (see SetAside).
func OpenTableFile(o TableOptions) (*Table, error) {
	if o.Disk == nil {
		o.Disk = vfs.OS{}
	}
	t := &Table{o: o, values: make(map[string][]byte), sealed: make(map[string][]byte), sums: make(map[string]uint32)}
	t.hooks = &FileOptions{Disk: o.Disk, BeforeRead: o.BeforeRead, BeforeWrite: o.BeforeWrite, AfterWrite: o.AfterWrite,
		ReadFailed: o.ReadFailed, WriteFailed: o.WriteFailed}
	if err := t.open(); err != nil {
		if t.file != nil {
			_ = t.file.shut()
		}
		return nil, fmt.Errorf("open table %s: %w", o.Path, err)
	}
	return t, nil
}

func (t *Table) open() error {
	path := t.o.Path
	if err := os.Remove(path + tmpSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return &CorruptError{path, "open", "not a file"}
	} else if errors.Is(err, os.ErrNotExist) {
		if err := t.o.Disk.MkdirAll(filepath.Dir(path)); err != nil {
			return err
		}
		t.made = true
		return t.rewrite(0, 0, nil)
	}
	t.file = &boltFile{path: path, hooks: t.hooks}
	err := t.file.view("table", t.load)
	lost, older := false, false
	if err == nil {
		lost, older, err = t.lostCommit()
	}
	if lost {
		err = &CorruptError{path, "meta pages", "the newest is damaged"}
	}
	if isCorrupt(err) {
		return t.salvage(lost, err)
	}
	if err != nil {
		return err
	}
	if older {
		t.salvaged = &TableSalvage{Cause: oneMeta(path), Exact: true, Values: len(t.values)}
		if err := mendMeta(path); err != nil {
			t.hooks.toldWrite(err) // the next commit writes it too
		}
	}
	if _, merr := os.Lstat(path + unsureSuffix); merr == nil {
		// What the file shows may be in the page cache only.
		return t.rewrite(t.applied, t.count+1, t.values)
	}
	return nil
}

// lostCommit tells whether the file had a newer commit than the one that opens, or
// else whether the way to an older one is damaged: see the store's.
func (t *Table) lostCommit() (newer, older bool, err error) {
	if damaged, err := metaDamaged(t.o.Path); !damaged || err != nil {
		return false, false, err
	}
	err = rawScan(t.o.Path, t.hooks, func(_ int64, b []byte) error {
		if rec, err := parseRecord(b, kindState); err == nil && rec.incarnation == 0 && rec.flush > t.count {
			newer = true
		}
		return nil
	})
	return newer, !newer && err == nil, err
}

// rewrite makes a new file of values and gives it the table's name.
func (t *Table) rewrite(applied LSN, flush uint64, values map[string][]byte) error {
	f, err := createBolt(t.o.Path, t.hooks)
	if err != nil {
		return err
	}
	sums := make(map[string]uint32, len(values))
	err = f.update("create", func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(tableBucket)
		if err != nil {
			return err
		}
		if err := putFormat(b, 0); err != nil {
			return err
		}
		return writeTable(b, values, sums, applied, flush)
	})
	if err == nil {
		err = f.finish(t.o.Path)
	}
	name := errors.As(err, new(errName))
	if err != nil && !name {
		f.discard()
		return err
	}
	if t.file != nil {
		_ = t.file.shut()
	}
	t.file, t.sums, t.count, t.renew = f, sums, flush, name
	if name {
		f.mark()
		return err
	}
	return f.dropMark()
}

// writeTable puts changes into the bucket, and the state that comes of them.
func writeTable(b *bbolt.Bucket, changes map[string][]byte, sums map[string]uint32, applied LSN, flush uint64) error {
	for k, v := range changes {
		if v == nil {
			delete(sums, k)
			if err := b.Delete([]byte("=" + k)); err != nil {
				return err
			}
			continue
		}
		enc, crc := encodeRecord(&record{kind: kindTable, flush: flush, payload: encodeAux(k, v)})
		sums[k] = crc
		if err := b.Put([]byte("="+k), enc); err != nil {
			return err
		}
	}
	sum := uint32(0)
	for k, crc := range sums {
		sum ^= recordSum(k, crc)
	}
	st := tableState{applied: applied, tx: uint64(b.Tx().ID()), values: uint64(len(sums)), sum: sum}
	enc, _ := encodeRecord(&record{kind: kindState, flush: flush, payload: st.encode()})
	for _, k := range tableStateKeys {
		if err := b.Put([]byte(k), enc); err != nil {
			return err
		}
	}
	return nil
}

// tableState is the state of a table: how many values there are, and what their
// checksums come to.
type tableState struct {
	applied LSN
	values  uint64
	sum     uint32
	tx      uint64 // bbolt's number of the transaction; 0 in format 1
}

func (s *tableState) encode() []byte {
	p := binary.LittleEndian.AppendUint64(nil, uint64(s.applied))
	p = binary.LittleEndian.AppendUint64(p, s.values)
	p = binary.LittleEndian.AppendUint32(p, s.sum)
	return binary.LittleEndian.AppendUint64(p, s.tx)
}

func decodeTableState(rec *record) (tableState, error) {
	p := rec.payload
	if rec.format == recordFormat1 {
		p = append(p[:len(p):len(p)], 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if len(p) != 28 {
		return tableState{}, fmt.Errorf("state of %d bytes: %w", len(rec.payload), ErrCorrupt)
	}
	le := binary.LittleEndian
	return tableState{applied: LSN(le.Uint64(p)), values: le.Uint64(p[8:]), sum: le.Uint32(p[16:]), tx: le.Uint64(p[20:])}, nil
}

// tableRows is what a walk through the tree of a table finds.
type tableRows struct {
	state  tableState
	flush  uint64
	values map[string][]byte
	sums   map[string]uint32
	bad    []string // names of values that are damaged
}

// readTable walks the tree; the error is the first damage, and what could be
// read is there all the same.
func readTable(tx *bbolt.Tx) (r tableRows, first error) {
	r.values, r.sums = make(map[string][]byte), make(map[string]uint32)
	damage := func(err error) {
		if first == nil {
			first = err
		}
	}
	b := tx.Bucket(tableBucket)
	if b == nil {
		return r, fmt.Errorf("bucket is missing: %w", ErrCorrupt)
	}
	var err error
	if v := b.Get([]byte(formatKey)); v != nil {
		if err := checkFormat(v); err != nil {
			return r, err
		}
	}
	for _, k := range tableStateKeys {
		var rec record
		if rec, err = parseRecord(b.Get([]byte(k)), kindState); err == nil {
			if r.state, err = decodeTableState(&rec); err == nil {
				r.flush = rec.flush
				break
			}
		}
		if !isCorrupt(err) {
			return r, fmt.Errorf("state: %w", err)
		}
	}
	if err != nil {
		damage(fmt.Errorf("state: %w", err))
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if len(k) == 0 || k[0] != '=' {
			continue
		}
		rec, err := parseRecord(v, kindTable)
		if err != nil && !isCorrupt(err) {
			return r, fmt.Errorf("value %q: %w", k, err)
		}
		var key string
		var value []byte
		if err == nil {
			if key, value, err = decodeAux(rec.payload); err == nil && "="+key != string(k) {
				err = fmt.Errorf("another name in it: %w", ErrCorrupt)
			}
		}
		if err != nil {
			r.bad = append(r.bad, string(k[1:]))
			damage(fmt.Errorf("value %q: %w", k, err))
			continue
		}
		r.values[key], r.sums[key] = append([]byte{}, value...), rec.crc
	}
	if !r.exact() {
		damage(fmt.Errorf("%d values where %d belong: %w", len(r.values), r.state.values, ErrCorrupt))
	}
	return r, first
}

// exact tells whether the values are those of the state.
func (r *tableRows) exact() bool {
	sum := uint32(0)
	for k, crc := range r.sums {
		sum ^= recordSum(k, crc)
	}
	return uint64(len(r.values)) == r.state.values && sum == r.state.sum
}

func (t *Table) load(tx *bbolt.Tx) error {
	r, err := readTable(tx)
	if err != nil {
		return err
	}
	t.values, t.sums, t.count = r.values, r.sums, r.flush
	// Rows of format 1 do not say which flush wrote them.
	t.renew = r.state.tx == 0
	t.applied, t.next = r.state.applied, r.state.applied
	return nil
}

// Seal adds changes, as of an LSN, to the next flush; a nil Value deletes. The
// values may not change afterwards.
func (t *Table) Seal(applied LSN, aux []Aux) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range aux {
		t.sealed[a.Key] = a.Value
	}
	t.next, t.dirty = applied, true
}

// Flush writes what was sealed in one durable transaction. After an error
// nothing sealed is lost.
func (t *Table) Flush() error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return fmt.Errorf("table %s: %w", t.o.Path, ErrClosed)
	}
	if !t.dirty {
		t.mu.Unlock()
		return nil
	}
	changes, applied := t.sealed, t.next
	t.sealed, t.dirty = make(map[string][]byte), false
	t.mu.Unlock()
	err := t.write(changes, applied)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		maps.Copy(changes, t.sealed)
		t.sealed, t.dirty = changes, true
		err = fmt.Errorf("flush table %s: %w", t.o.Path, err)
		t.hooks.toldWrite(err)
		return err
	}
	t.values, t.applied = nil, applied
	return nil
}

// write brings down one flush. After a failed write the file is not written
// again: a new one takes its place.
func (t *Table) write(changes map[string][]byte, applied LSN) error {
	flush := t.count + 1
	if t.renew || t.file.failed() != nil {
		values, err := t.stored(changes)
		if err != nil {
			return err
		}
		for k, v := range changes {
			if v != nil {
				values[k] = v
			}
		}
		return t.rewrite(applied, flush, values)
	}
	sums := maps.Clone(t.sums)
	err := t.file.update("flush", func(tx *bbolt.Tx) error {
		b := tx.Bucket(tableBucket)
		if b == nil {
			return fmt.Errorf("bucket is missing: %w", ErrCorrupt)
		}
		return writeTable(b, changes, sums, applied, flush)
	})
	if err == nil {
		t.sums, t.count = sums, flush
	}
	return err
}

// Applied is the LSN of the last flush.
func (t *Table) Applied() LSN {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applied
}

// Made reports whether there was no file when the table was opened.
func (t *Table) Made() bool { return t.made }

// stored reads the values as of the last flush, but those that except has. A
// commit that failed may show: what it has put in the place of a value is not
// taken, and the value is searched for in the pages, where it lies until the
// commit after that. The caller holds t.flushing.
func (t *Table) stored(except map[string][]byte) (map[string][]byte, error) {
	values, missing := make(map[string][]byte, len(t.sums)), make(map[string]uint32)
	take := func(k string, v []byte) bool {
		rec, err := parseRecord(v, kindTable)
		if err != nil || rec.crc != t.sums[k] {
			return false
		}
		key, value, err := decodeAux(rec.payload)
		if err != nil || key != k {
			return false
		}
		values[k] = append([]byte{}, value...)
		return true
	}
	for k, crc := range t.sums {
		if _, ok := except[k]; !ok {
			missing[k] = crc
		}
	}
	err := t.file.view("table", func(tx *bbolt.Tx) error {
		b := tx.Bucket(tableBucket)
		for k := range missing {
			if b != nil && take(k, b.Get([]byte("="+k))) {
				delete(missing, k)
			}
		}
		return nil
	})
	if err != nil && !isCorrupt(err) || len(missing) == 0 {
		return values, err
	}
	err = rawScan(t.file.path, t.hooks, func(_ int64, b []byte) error {
		rec, err := parseRecord(b, kindTable)
		if err != nil {
			return nil
		}
		if key, _, err := splitAux(rec.payload); err == nil {
			if crc, ok := missing[string(key)]; ok && crc == rec.crc && take(string(key), b) {
				delete(missing, string(key))
			}
		}
		return nil
	})
	for k := range missing {
		if err == nil {
			err = &CorruptError{t.file.path, "value " + k, "it is missing"}
		}
	}
	return values, err
}

// Release lets go of the values in memory: until the first flush has done that
// Each tells those of the open, and then what the file has.
func (t *Table) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values = nil
}

// Each visits the durable values whose names start with prefix, in order. f
// may use the table, and may not change the value.
func (t *Table) Each(prefix string, f func(key string, value []byte) error) (err error) {
	t.flushing.Lock()
	t.mu.Lock()
	values := t.values // never changed, only let go of
	t.mu.Unlock()
	if values == nil {
		values, err = t.stored(nil)
	}
	t.flushing.Unlock()
	if err != nil {
		return fmt.Errorf("table %s: %w", t.o.Path, err)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(k, values[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Names are the names of the durable values that start with prefix, in no order.
// They are in memory.
func (t *Table) Names(prefix string) (list []string) {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	for k := range t.sums {
		if strings.HasPrefix(k, prefix) {
			list = append(list, k)
		}
	}
	return list
}

// Close closes the table; what was not flushed is not in it.
func (t *Table) Close() error {
	t.flushing.Lock()
	defer t.flushing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.file.shut()
}
