package edgestore

import (
	"bytes"
	"encoding/binary"

	"github.com/frondmq/frond/edgestore/vfs"
)

// image is a small file of a store as one read gives it. A start looks at the
// pages in it instead of having bbolt open, map and close each of very many
// files: [m] of 10,000 streams that was half of what the start took.
//
// It is only believed when everything is as bbolt writes it: both meta pages,
// the free list, each page in one place, all keys ascending under branches that
// lead to them, which is more than bbolt asks of a file. All else is left to
// those who can tell damage from a fault of the disk (boltFile, loader, salvage),
// and so they see the same file as ever.
type image struct {
	buf             []byte
	b               []byte // what the file has, as far as pages are in use
	root, free      uint64 // pages
	high            uint64 // pages in use end here
	size            int64
	seen            uint32 // pages that have their place, a bit each
	records, chunks []row  // in order; they lie in buf
}

const (
	// imageMost is how large a file is that is read as a whole: bbolt's second
	// size, enough for some dozen messages.
	imageMost = imagePages * boltPageSize
	// imageFirst is what is read of one: more when pages behind it are in use.
	imageFirst = imageMost / 2

	imagePages    = 16
	boltVersion   = 2
	boltFreeFlag  = 0x10
	boltFreeMany  = 0xFFFF // the count stands elsewhere
	boltBucketLen = 16
)

// read brings in a file; it is not ok when it has to be opened to know more.
func (m *image) read(path string) (ok bool) {
	f, size, err := vfs.Look(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if m.size = size; size > imageMost {
		return false
	}
	if m.buf == nil {
		m.buf = make([]byte, imageMost)
	}
	m.b = m.buf[:min(size, imageFirst)]
	if _, err := f.ReadAt(m.b, 0); err != nil {
		return false
	}
	if n := len(m.b); int64(n) < size && m.metas() && m.high > imageFirst/boltPageSize {
		m.b = m.buf[:size]
		if _, err := f.ReadAt(m.b[n:], int64(n)); err != nil {
			return false
		}
	}
	return m.parse()
}

func (m *image) parse() bool {
	m.seen, m.records, m.chunks = 0, m.records[:0], m.chunks[:0]
	if !m.metas() || m.high > uint64(len(m.b)/boltPageSize) {
		return false
	}
	top, flags := m.page(m.root)
	if top == nil || flags != boltLeafFlag {
		return false
	}
	var named [2]row
	buckets, ok := leafRows(named[:0], top, boltBucketFlag)
	if !ok || len(buckets) != 2 || !bytes.Equal(buckets[0].key, chunksBucket) || !bytes.Equal(buckets[1].key, recordsBucket) {
		return false
	}
	if m.chunks, ok = m.bucket(m.chunks, buckets[0].value); !ok {
		return false
	}
	if m.records, ok = m.bucket(m.records, buckets[1].value); !ok {
		return false
	}
	return m.freeList(m.free)
}

// metas takes what the newer of the two meta pages says; both must be valid.
func (m *image) metas() bool {
	if len(m.b) < 2*boltPageSize {
		return false
	}
	var t treeCheck
	for i := range 2 {
		p := m.b[i*boltPageSize:]
		if binary.NativeEndian.Uint32(p[boltHeader+4:]) != boltVersion || !t.look(p[:boltHeader+boltMetaLen]) {
			return false
		}
	}
	m.root, m.free, m.high = t.root, t.free, t.high
	return t.pageSize == boltPageSize
}

// page returns a page with its overflow, nil when it has another place already
// or is none.
func (m *image) page(id uint64) (p []byte, flags uint16) {
	if id < 2 || id >= m.high {
		return nil, 0
	}
	p = m.b[id*boltPageSize:]
	over := uint64(binary.NativeEndian.Uint32(p[12:]))
	if binary.NativeEndian.Uint64(p) != id || over >= m.high-id {
		return nil, 0
	}
	these := (uint32(1)<<(over+1) - 1) << id
	if m.seen&these != 0 {
		return nil, 0
	}
	m.seen |= these
	return p[:(over+1)*boltPageSize], binary.NativeEndian.Uint16(p[8:])
}

// bucket appends the rows of a bucket.
func (m *image) bucket(rows []row, v []byte) ([]row, bool) {
	if len(v) < boltBucketLen {
		return rows, false
	}
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		return m.tree(rows, root)
	}
	p := v[boltBucketLen:] // its few rows are in the bucket's own value
	if len(p) < boltHeader || binary.NativeEndian.Uint16(p[8:]) != boltLeafFlag {
		return rows, false
	}
	return leafRows(rows, p, 0)
}

// tree appends the rows below a page. It ends, since no page has two places.
func (m *image) tree(rows []row, id uint64) (_ []row, ok bool) {
	p, flags := m.page(id)
	switch {
	case p == nil:
		return rows, false
	case flags == boltLeafFlag:
		return leafRows(rows, p, 0)
	case flags != boltBranchFlag:
		return rows, false
	}
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if boltHeader+boltElement*count > len(p) {
		return rows, false
	}
	for i := range count {
		e := p[boltHeader+boltElement*i:]
		pos, size := uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
		if pos+size > uint64(len(e)) {
			return rows, false
		}
		from := len(rows)
		if rows, ok = m.tree(rows, binary.NativeEndian.Uint64(e[8:])); !ok || len(rows) == from {
			return rows, false
		}
		// Who looks for a key of the child must come to the child.
		least := e[pos : pos+size]
		if bytes.Compare(least, rows[from].key) > 0 || i > 0 && bytes.Compare(rows[from-1].key, least) >= 0 {
			return rows, false
		}
	}
	return rows, count > 0
}

// leafRows appends the rows of a leaf page, which follow those there are.
func leafRows(rows []row, p []byte, flags uint32) ([]row, bool) {
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if boltHeader+boltElement*count > len(p) {
		return rows, false
	}
	for i := range count {
		e := p[boltHeader+boltElement*i:]
		pos, k, v := uint64(binary.NativeEndian.Uint32(e[4:])), uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		if binary.NativeEndian.Uint32(e) != flags || k == 0 || pos+k+v > uint64(len(e)) {
			return rows, false
		}
		r := row{e[pos : pos+k], e[pos+k : pos+k+v : pos+k+v]}
		if n := len(rows); n > 0 && bytes.Compare(rows[n-1].key, r.key) >= 0 {
			return rows, false
		}
		rows = append(rows, r)
	}
	return rows, true
}

// freeList looks whether bbolt can go on with the file: what is free is in use
// nowhere.
func (m *image) freeList(id uint64) bool {
	p, flags := m.page(id)
	if p == nil || flags != boltFreeFlag {
		return false
	}
	count := int(binary.NativeEndian.Uint16(p[10:]))
	if count == boltFreeMany || boltHeader+8*count > len(p) {
		return false
	}
	before := uint64(1)
	for i := range count {
		free := binary.NativeEndian.Uint64(p[boltHeader+8*i:])
		if free <= before || free >= m.high || m.seen&(1<<free) != 0 {
			return false
		}
		before = free
	}
	return true
}

// Rows of an image are records.

func (m *image) each(f func(k, v []byte) error) error {
	for i := range m.records {
		if err := f(m.records[i].key, m.records[i].value); err != nil {
			return err
		}
	}
	return nil
}

func (m *image) get(key string) []byte {
	for i := range m.records {
		if string(m.records[i].key) == key {
			return m.records[i].value
		}
	}
	return nil
}

// loadImage is loadHead, lostCommit and removeOrphans for a file that is small and as
// it was left, and tells its size. When it is not, or anything in it is not as it
// should be, nothing was done.
func (s *fileStore) loadImage(id uint32) (size int64, done bool) {
	path := fileName(s.o.Dir, id)
	for _, place := range [...]string{"open", "records", "subjects", "orphans"} {
		if s.o.mayRead(path, place) != nil {
			return 0, false
		}
	}
	m := s.o.Files.takeImage()
	defer s.o.Files.giveImage(m)
	l := &loader{s: s}
	if !m.read(path) || l.read(m) != nil || l.readSubjects(m) != nil || l.state.uncounted || !l.knowsAll(m.chunks) {
		return 0, false
	}
	if l.keep(&boltFile{path: path, hooks: s.o}, id) != nil {
		return 0, false
	}
	s.keepAux(m)
	return m.size, true
}

// knowsAll tells whether each row of a chunk that may be an orphan is named by
// the directory.
func (l *loader) knowsAll(chunks []row) bool {
	d := directory{pages: l.pages}
	from := d.orphansFrom()
	for i := range chunks {
		k := chunks[i].key
		if len(k) < 8 {
			return false
		}
		if binary.BigEndian.Uint64(k) >= from && !d.names(k) {
			return false
		}
	}
	return true
}

// keepAux keeps the named values of an image for the one who asks for them next.
func (s *fileStore) keepAux(m *image) {
	n, size := 0, 0
	for i := range m.records {
		if r := &m.records[i]; r.key[0] == kindAux {
			n, size = n+1, size+len(r.value)
		}
	}
	list := make([]Aux, 0, n)
	values := make([]byte, 0, size)
	for i := range m.records { // in the order of keys, as Aux tells them
		r := &m.records[i]
		if r.key[0] != kindAux {
			continue
		}
		_, v, _ := splitAux(r.value[headerOf(r.value[4]):]) // it is whole
		from := len(values)
		values = append(values, v...)
		list = append(list, Aux{Key: string(r.key[1:]), Value: values[from:len(values):len(values)]})
	}
	s.aux = &list
}
