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
// it was applied, in one bbolt file: the catalogue of streams. It is held in
// memory as a whole. Unlike a store it refuses to open when anything in it is
// damaged, because nothing else says what should be there.
type Table struct {
	path  string
	hooks *fileHooks

	mu       sync.Mutex
	values   map[string][]byte // durable
	sealed   map[string][]byte // waiting for a flush; nil value: delete
	next     LSN
	dirty    bool
	applied  LSN
	count    uint64 // number of flushes
	closed   bool
	flushing sync.Mutex // one flush at a time
	file     *boltFile
}

var tableBucket = []byte("k")

// tableStateKey has no name in front, so that no value can have it.
var tableStateKey = []byte{0}

// OpenTable opens or makes the table at path.
func OpenTable(path string) (*Table, error) {
	t := &Table{path: path, hooks: &fileHooks{disk: vfs.OS{}}, values: make(map[string][]byte), sealed: make(map[string][]byte)}
	if err := t.open(); err != nil {
		if t.file != nil {
			_ = t.file.shut()
		}
		return nil, fmt.Errorf("open table %s: %w", path, err)
	}
	return t, nil
}

func (t *Table) open() error {
	if err := os.Remove(t.path + tmpSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(t.path); errors.Is(err, os.ErrNotExist) {
		if err := t.hooks.disk.MkdirAll(filepath.Dir(t.path)); err != nil {
			return err
		}
		return t.create()
	}
	t.file = &boltFile{path: t.path, hooks: t.hooks}
	return t.file.view("table", t.load)
}

func (t *Table) create() error {
	f, err := createBolt(t.path, t.hooks)
	if err != nil {
		return err
	}
	err = f.update("create", func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(tableBucket)
		if err != nil {
			return err
		}
		return putTableState(b, 0, 0, nil)
	})
	if err == nil {
		err = f.finish(t.path)
	}
	if err != nil {
		f.discard()
		return err
	}
	t.file = f
	return nil
}

func putTableState(b *bbolt.Bucket, applied LSN, flush uint64, values map[string][]byte) error {
	sum := uint32(0)
	for k, v := range values {
		_, crc := encodeTableValue(k, v)
		sum ^= recordSum(k, crc)
	}
	p := binary.LittleEndian.AppendUint64(nil, uint64(applied))
	p = binary.LittleEndian.AppendUint64(p, uint64(len(values)))
	p = binary.LittleEndian.AppendUint32(p, sum)
	v, _ := encodeRecord(&record{kind: kindState, flush: flush, payload: p})
	return b.Put(tableStateKey, v)
}

func encodeTableValue(key string, value []byte) ([]byte, uint32) {
	return encodeRecord(&record{kind: kindTable, payload: encodeAux(key, value)})
}

func (t *Table) load(tx *bbolt.Tx) error {
	b := tx.Bucket(tableBucket)
	if b == nil {
		return fmt.Errorf("bucket is missing: %w", ErrCorrupt)
	}
	state, err := parseRecord(b.Get(tableStateKey), kindState)
	if err == nil && len(state.payload) != 20 {
		err = ErrCorrupt
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	sum := uint32(0)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if string(k) == string(tableStateKey) {
			continue
		}
		rec, err := parseRecord(v, kindTable)
		if err != nil {
			return fmt.Errorf("value %q: %w", k, err)
		}
		key, value, err := decodeAux(rec.payload)
		if err != nil || "="+key != string(k) {
			return fmt.Errorf("value %q: another name in it: %w", k, ErrCorrupt)
		}
		t.values[key] = append([]byte{}, value...)
		sum ^= recordSum(key, rec.crc)
	}
	t.applied, t.count = LSN(binary.LittleEndian.Uint64(state.payload)), state.flush
	t.next = t.applied
	if n := binary.LittleEndian.Uint64(state.payload[8:]); n != uint64(len(t.values)) || sum != binary.LittleEndian.Uint32(state.payload[16:]) {
		return fmt.Errorf("%d values where %d belong: %w", len(t.values), n, ErrCorrupt)
	}
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
		return fmt.Errorf("table %s: %w", t.path, ErrClosed)
	}
	if !t.dirty {
		t.mu.Unlock()
		return nil
	}
	changes, applied, flush := t.sealed, t.next, t.count+1
	values := maps.Clone(t.values)
	t.sealed, t.dirty = make(map[string][]byte), false
	t.mu.Unlock()
	err := t.file.update("flush", func(tx *bbolt.Tx) error { return writeTable(tx, changes, values, applied, flush) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		maps.Copy(changes, t.sealed)
		t.sealed, t.dirty = changes, true
		return fmt.Errorf("flush table %s: %w", t.path, err)
	}
	t.values, t.applied, t.count = values, applied, flush
	return nil
}

func writeTable(tx *bbolt.Tx, changes, values map[string][]byte, applied LSN, flush uint64) error {
	b := tx.Bucket(tableBucket)
	if b == nil {
		return fmt.Errorf("bucket is missing: %w", ErrCorrupt)
	}
	for k, v := range changes {
		if v == nil {
			delete(values, k)
			if err := b.Delete([]byte("=" + k)); err != nil {
				return err
			}
			continue
		}
		values[k] = v
		enc, _ := encodeTableValue(k, v)
		if err := b.Put([]byte("="+k), enc); err != nil {
			return err
		}
	}
	return putTableState(b, applied, flush, values)
}

// Applied is the LSN of the last flush.
func (t *Table) Applied() LSN {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applied
}

// Each visits the durable values whose names start with prefix, in order. f
// may use the table, and may not change the value.
func (t *Table) Each(prefix string, f func(key string, value []byte) error) error {
	t.mu.Lock()
	values := t.values // never changed, only replaced
	t.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(k, values[k]); err != nil {
				return err
			}
		}
	}
	return nil
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
