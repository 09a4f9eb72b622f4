package edgestore_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore"
)

// TestImage_believesWhatBboltFinds: wherever a bit of a branch page or of the free
// list is another, the file is left to those who open it, or bbolt finds each key in
// it and goes on without writing over a page that is in use.
func TestImage_believesWhatBboltFinds(t *testing.T) {
	const pageSize, header, branch, freeList = 4096, 16, 0x01, 0x10
	dir := t.TempDir()
	good, err := os.ReadFile(buildSmall(t, edgestore.FileOptions{Dir: filepath.Join(dir, "s"), Incarnation: 9}))
	if err != nil {
		t.Fatal(err)
	}
	records, ok := edgestore.Believed(good)
	if !ok {
		t.Fatal("the file is not believed as it is")
	}
	tried := map[uint16]int{}
	for at := 2 * pageSize; at < len(good); at += pageSize {
		flags, count := binary.NativeEndian.Uint16(good[at+8:]), int(binary.NativeEndian.Uint16(good[at+10:]))
		used := 0
		switch flags {
		case branch: // behind the header come elements of 16 bytes, and the keys
			last := at + header + 16*(count-1)
			used = last - at + int(binary.NativeEndian.Uint32(good[last:])+binary.NativeEndian.Uint32(good[last+4:]))
		case freeList:
			used = header + 8*count
		}
		for bit := range 8 * used {
			bad := slices.Clone(good)
			bad[at+bit/8] ^= 1 << (bit % 8)
			tried[flags]++
			n, ok := edgestore.Believed(bad)
			if !ok {
				continue
			}
			if n != records {
				t.Errorf("byte %d, bit %d: %d records, not %d", at+bit/8, bit%8, n, records)
			}
			if err := asBboltFindsIt(filepath.Join(dir, "bolt"), bad); err != nil {
				t.Errorf("byte %d of page %d, bit %d: believed, but: %v", bit/8, at/pageSize, bit%8, err)
			}
		}
	}
	if tried[branch] == 0 || tried[freeList] == 0 {
		t.Errorf("bits of pages by their flags: %v", tried)
	}
}

// asBboltFindsIt says what bbolt can't find in a file, or would write over.
func asBboltFindsIt(path string, file []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		var found error
		for err := range tx.Check() { // to its end: it reads on a goroutine of its own
			if !strings.Contains(err.Error(), "unreachable unfreed") { // only a page that is not used
				found = err
			}
		}
		if found != nil {
			return found
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				if b.Get(k) == nil {
					return fmt.Errorf("key %q of %s is there and not found", k, name)
				}
				return nil
			})
		})
	})
}
