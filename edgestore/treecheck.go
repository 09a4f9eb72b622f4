package edgestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
)

// metaDamaged tells whether one of the two meta pages is not valid. bbolt goes on
// with the other then, which may be the commit before the last. A file that ends
// before its last page is damaged: what is in that may be messages, and no commit
// to it would succeed.
func metaDamaged(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	t := treeCheck{f: f, path: path}
	if _, err = t.meta(); err != nil {
		return false, err
	}
	if size, err := f.Seek(0, io.SeekEnd); err != nil {
		return false, t.unread(t.high-1, err)
	} else if uint64(size) < t.high*t.pageSize {
		return false, t.unread(t.high-1, io.EOF)
	}
	return t.metas == 1, nil
}

// mendMeta writes the damaged one of the two meta pages of a file anew: it shows what
// the whole one shows, as the commit before that. The next commit writes over it.
func mendMeta(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, boltPageSize)
	for i := range int64(2) {
		var t treeCheck
		if _, err := f.ReadAt(page, i*boltPageSize); err != nil {
			return err
		}
		if !t.look(page[:boltHeader+boltMetaLen]) || t.tx == 0 {
			continue
		}
		m := page[boltHeader:]
		binary.NativeEndian.PutUint64(page, uint64(1-i))
		binary.NativeEndian.PutUint64(m[48:], t.tx-1)
		binary.NativeEndian.PutUint64(m[56:], metaSum(m))
		if _, err := f.WriteAt(page, (1-i)*boltPageSize); err != nil {
			return err
		}
		return f.Sync()
	}
	return &CorruptError{path, "meta pages", "none is valid"}
}

// metaSum is the checksum of a meta page: FNV-1a.
func metaSum(m []byte) uint64 {
	sum := uint64(14695981039346656037)
	for _, c := range m[:56] {
		sum = (sum ^ uint64(c)) * 1099511628211
	}
	return sum
}

// oneMeta says that one of the two meta pages of a file is damaged, and nothing is
// lost by that.
func oneMeta(path string) error {
	return &CorruptError{path, "meta pages", "one of the two is damaged"}
}

// checkTree reads the branch pages of a bbolt file and refuses what would make
// bbolt run in circles: a page id that leads back up is an endless recursion,
// which no recover can stop. Leaf pages are not read: what is wrong there shows
// when it is used. The layout of pages is that of bbolt's internal/common,
// which is fixed by its format version; its numbers are in the byte order of the
// machine, unlike those of our records.
func checkTree(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	t := treeCheck{f: f, path: path, branches: make(map[uint64]bool)}
	root, err := t.meta()
	if err != nil {
		return err
	}
	if err := t.walk(root, 0, true); err != nil {
		return err
	}
	for _, id := range t.leaves {
		if t.branches[id] {
			return t.bad(id, "a leaf is a branch elsewhere")
		}
	}
	return nil
}

type treeCheck struct {
	f        *os.File
	path     string
	pageSize uint64
	root     uint64 // this and what follows: as the newest valid meta page says
	free     uint64 // page of the free list
	high     uint64 // pages in use end here
	tx       uint64
	metas    int  // valid ones
	other    bool // one is of the other byte order
	branches map[uint64]bool
	leaves   []uint64
}

const (
	boltHeader     = 16
	boltMetaLen    = 64
	boltElement    = 16
	boltBranchFlag = 0x01
	boltLeafFlag   = 0x02
	boltBucketFlag = 0x01
	boltMagic      = 0xED0CDAED
	boltMaxDepth   = 24
)

func (t *treeCheck) bad(page uint64, reason string) error {
	return &CorruptError{t.path, fmt.Sprintf("page %d", page), reason}
}

// newestTx is the number of the newest transaction that a meta page of a file
// tells of; 0 when none does.
func newestTx(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	t := treeCheck{f: f, path: path}
	if _, err = t.meta(); isCorrupt(err) {
		return 0, nil
	}
	return t.tx, err
}

// unread says why a page could not be read.
func (t *treeCheck) unread(page uint64, err error) error {
	if errors.Is(err, io.EOF) {
		return t.bad(page, "the file ends before it")
	}
	return &ioError{t.path, fmt.Sprintf("page %d", page), err}
}

// meta finds the newest valid meta page and returns the root page.
func (t *treeCheck) meta() (root uint64, err error) {
	b := make([]byte, boltHeader+boltMetaLen)
	for i := int64(0); i < 2; i++ {
		if _, err := t.f.ReadAt(b, i*boltPageSize); errors.Is(err, io.EOF) {
			continue
		} else if err != nil {
			return 0, &ioError{t.path, "meta pages", err}
		}
		t.look(b)
	}
	if t.metas == 0 && t.other {
		return 0, fmt.Errorf("%s: written on a machine of the other byte order, which this one can't read: %w", t.path, ErrFormat)
	}
	if t.metas == 0 {
		return 0, &CorruptError{t.path, "meta pages", "none is valid"}
	}
	if t.pageSize != boltPageSize {
		return 0, &CorruptError{t.path, "meta pages", fmt.Sprintf("page size %d", t.pageSize)}
	}
	return t.root, nil
}

// look takes what a meta page says, if it is valid and not older than the other.
func (t *treeCheck) look(page []byte) (valid bool) {
	m := page[boltHeader:]
	t.other = t.other || bits.ReverseBytes32(binary.NativeEndian.Uint32(m)) == boltMagic
	if binary.NativeEndian.Uint32(m) != boltMagic || metaSum(m) != binary.NativeEndian.Uint64(m[56:]) {
		return false
	}
	tx := binary.NativeEndian.Uint64(m[48:])
	if t.metas++; t.metas > 1 && tx < t.tx {
		return true
	}
	t.tx = tx
	t.pageSize = uint64(binary.NativeEndian.Uint32(m[8:]))
	t.root = binary.NativeEndian.Uint64(m[16:])
	t.free = binary.NativeEndian.Uint64(m[32:])
	t.high = binary.NativeEndian.Uint64(m[40:])
	return true
}

// page reads a page with its overflow as far as elements may reach.
func (t *treeCheck) page(id uint64) (b []byte, flags uint16, count int, err error) {
	if id < 2 || id >= t.high {
		return nil, 0, 0, t.bad(id, "no such page")
	}
	head := make([]byte, t.pageSize)
	if _, err := t.f.ReadAt(head, int64(id*t.pageSize)); err != nil {
		return nil, 0, 0, t.unread(id, err)
	}
	flags = binary.NativeEndian.Uint16(head[8:])
	count = int(binary.NativeEndian.Uint16(head[10:]))
	over := uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head) != id {
		return nil, 0, 0, t.bad(id, "calls itself another page")
	}
	if id+over >= t.high {
		return nil, 0, 0, t.bad(id, "reaches beyond the end")
	}
	size := (over + 1) * t.pageSize
	if boltHeader+boltElement*uint64(count) > size {
		return nil, 0, 0, t.bad(id, "more elements than room")
	}
	if flags == boltBranchFlag && over > 0 {
		if over > 64 {
			return nil, 0, 0, t.bad(id, "huge branch page")
		}
		head = make([]byte, size)
		if _, err := t.f.ReadAt(head, int64(id*t.pageSize)); err != nil {
			return nil, 0, 0, t.unread(id, err)
		}
	}
	return head, flags, count, nil
}

// walk follows branch pages; root tells that leaves hold buckets.
func (t *treeCheck) walk(id uint64, depth int, root bool) error {
	b, flags, count, err := t.page(id)
	if err != nil {
		return err
	}
	if depth > boltMaxDepth {
		return t.bad(id, "tree too deep")
	}
	switch flags {
	case boltLeafFlag:
		t.leaves = append(t.leaves, id)
		if root {
			return t.buckets(id, b, count)
		}
		return nil
	case boltBranchFlag:
	default:
		return t.bad(id, fmt.Sprintf("type %#x in a tree", flags))
	}
	if t.branches[id] {
		return t.bad(id, "in the tree twice")
	}
	t.branches[id] = true
	if count == 0 {
		return t.bad(id, "branch without children")
	}
	leaves := false // all leaves are equally deep: the first child tells what all are
	for i := 0; i < count; i++ {
		at := boltHeader + boltElement*i
		e := b[at:]
		pos, ksize := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
		if uint64(at)+pos+ksize > uint64(len(b)) {
			return t.bad(id, "key outside of the page")
		}
		child := binary.NativeEndian.Uint64(e[8:])
		if child < 2 || child >= t.high {
			return t.bad(id, fmt.Sprintf("child %d does not exist", child))
		}
		if i > 0 && leaves && !root {
			t.leaves = append(t.leaves, child)
			continue
		}
		before := len(t.branches)
		if err := t.walk(child, depth+1, root); err != nil {
			return err
		}
		leaves = len(t.branches) == before
	}
	return nil
}

// buckets walks the trees of the buckets in a leaf of the root.
func (t *treeCheck) buckets(id uint64, b []byte, count int) error {
	for i := 0; i < count; i++ {
		at := boltHeader + boltElement*i
		if at+boltElement > len(b) {
			return t.bad(id, "too many buckets")
		}
		e := b[at:]
		pos, ksize := uint64(binary.NativeEndian.Uint32(e[4:])), uint64(binary.NativeEndian.Uint32(e[8:]))
		if binary.NativeEndian.Uint32(e)&boltBucketFlag == 0 {
			continue
		}
		v := uint64(at) + pos + ksize
		if v+16 > uint64(len(b)) {
			return t.bad(id, "bucket outside of the page")
		}
		root := binary.NativeEndian.Uint64(b[v:])
		if root == 0 {
			continue // its few values are in this page
		}
		if err := t.walk(root, 1, false); err != nil {
			return err
		}
	}
	return nil
}
