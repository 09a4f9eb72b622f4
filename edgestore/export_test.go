package edgestore

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"go.etcd.io/bbolt"
)

// CountOf is Count where nothing fails.
func CountOf(s Store, filters []string, start uint64, lastPerSubject bool) uint64 {
	c, _ := s.Count(filters, start, lastPerSubject)
	return c.Msgs
}

// ChunkRows counts the rows of chunks in the head of a file store.
func ChunkRows(t testing.TB, s Store) (n int) {
	t.Helper()
	err := s.(*fileStore).files.head.view("count", func(tx *bbolt.Tx) error {
		n = tx.Bucket(chunksBucket).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Chunks counts the chunks that the directory names.
func Chunks(s Store) (n int) {
	for _, p := range s.(*fileStore).mu.dir.pages {
		n += len(p.refs)
	}
	return n
}

// ChangeRecords changes every record of a file and mends its checksum.
func ChangeRecords(b []byte, change func(record []byte)) []byte {
	b = bytes.Clone(b)
	for at := 0; ; {
		i := bytes.Index(b[at:], recordMagic)
		if i < 0 || at+i+recordHeader > len(b) {
			return b
		}
		at += i
		n := recordHeader + int(binary.LittleEndian.Uint32(b[at+8:]))
		if at+n <= len(b) && recordCRC(b[at:at+n]) == binary.LittleEndian.Uint32(b[at+12:]) {
			change(b[at : at+n])
			binary.LittleEndian.PutUint32(b[at+12:], recordCRC(b[at:at+n]))
		}
		at += 4
	}
}

// BreakStates makes every state and directory page of a file unreadable in its
// tree, and leaves older states.
func BreakStates(b []byte) []byte {
	newest := uint64(0)
	ChangeRecords(b, func(r []byte) {
		if r[5] == kindState {
			newest = max(newest, binary.LittleEndian.Uint64(r[24:]))
		}
	})
	b = bytes.Clone(b)
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], recordMagic)
		if i < 0 || at+i+recordHeader > len(b) {
			return b
		}
		at += i
		if b[at+5] == kindState && binary.LittleEndian.Uint64(b[at+24:]) == newest {
			b[at+recordHeader] ^= 1
		}
	}
}

// DamageRecords flips a bit in every record of a kind in a file, in place, so
// that a store that has the file open reads it so too. It tells how many.
func DamageRecords(t testing.TB, path string, kind byte) (n int) {
	t.Helper()
	return changeInPlace(t, path, kind, func(b []byte, at, end int) int { return end - 1 })
}

// LoseKeys flips a bit in the key of every record of a kind, which lies in front
// of it: the tree does not find the record any more, which is whole.
func LoseKeys(t testing.TB, path string, kind byte) (n int) {
	t.Helper()
	return changeInPlace(t, path, kind, func(b []byte, at, end int) int { return at - 1 })
}

func changeInPlace(t testing.TB, path string, kind byte, place func(b []byte, at, end int) int) (n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], recordMagic)
		if i < 0 || at+i+recordHeader > len(b) {
			return n
		}
		at += i
		end := at + recordHeader + int(binary.LittleEndian.Uint32(b[at+8:]))
		if end > len(b) || b[at+5] != kind || recordCRC(b[at:end]) != binary.LittleEndian.Uint32(b[at+12:]) {
			continue
		}
		p := place(b, at, end)
		if _, err := f.WriteAt([]byte{b[p] ^ 1}, int64(p)); err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// GapsBelowFirst counts what is kept as deleted below the first message.
func GapsBelowFirst(s Store) uint64 {
	b := s.(interface{ index() *base }).index()
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.mu.gaps.count(0, b.mu.first-1)
}

// Entries counts what a store has in memory of its messages.
func Entries(s Store) (n int) {
	b := s.(interface{ index() *base }).index()
	b.mu.RLock()
	defer b.mu.RUnlock()
	b.mu.tab.up(0, ^uint64(0), func(uint64, *entry) bool { n++; return true })
	return n
}

func (b *base) index() *base { return b }

// Believed tells whether a file would be known without bbolt, and how many records
// it then has.
func Believed(file []byte) (records int, ok bool) {
	m := image{b: file}
	ok = m.parse()
	return len(m.records), ok
}
