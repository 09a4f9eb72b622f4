package edgestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/frondmq/frond/edgestore/vfs"
)

// ID is one of the ids that a run holds: what it is the id of, and when it came
// by a clock that is the owner's.
type ID struct {
	ID  []byte
	Seq uint64
	At  int64
}

// IDRunInfo is what the owner of a run has to keep to find it again.
type IDRunInfo struct {
	Number uint64
	Count  uint64
	End    uint64 // offset of the last record
	Size   uint64 // of the file
	CRC    uint32 // of the last record
	First  int64  // ID.At of the oldest and the newest
	Last   int64
}

// IDRun is a file of ids in the order of their hashes, which never changes. In
// memory are a filter and where the blocks begin, about 15 bits an id; an id
// that is not there is rarely looked for in the file. Methods may be used
// concurrently.
//
// The owner writes runs, names them in what it commits, and removes those that
// nothing committed names. See FORMAT.md.
type IDRun struct {
	IDRunInfo
	disk        vfs.FS
	path        string
	incarnation uint64
	key         IDKey
	filter      idFilter
	blocks      []idBlock // ascending
}

// idBlock is where a block begins, and with which hash (its upper half).
type idBlock struct{ hash, offset uint32 }

const (
	kindIDs    = 'i' // a block of ids
	kindIDsEnd = 'e' // what a run says of itself

	idsSuffix     = ".ids"
	idBlockBytes  = 4 << 10
	idWriteBytes  = 256 << 10
	maxIDRunBytes = 1 << 31 // blocks are found by 32 bits
)

// IDRunName names the file of a run.
func IDRunName(number uint64) string { return fmt.Sprintf("%08d%s", number, idsSuffix) }

// idRunNumber is the number in the name of a run's file.
func idRunNumber(name string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSuffix(name, idsSuffix), 10, 64)
	return n, err == nil && IDRunName(n) == name
}

// isIDRunFile tells of a name in the folder of a store whether it is a run, or
// one that was not finished.
func isIDRunFile(name string) bool {
	_, ok := idRunNumber(strings.TrimSuffix(name, tmpSuffix))
	return ok
}

// IDRunWriter writes a run: Add in the order of the hashes, then Finish or
// Discard.
type IDRunWriter struct {
	run    *IDRun
	file   vfs.File
	tmp    string
	offset int64  // of buf in the file
	buf    []byte // records that are not written yet
	block  []byte
	n      uint64 // ids in block
	first  uint64 // hash of the first in block
	last   uint64 // hash added last
	err    error
}

// CreateIDRun begins a run of at most count ids in dir.
func CreateIDRun(disk vfs.FS, dir string, incarnation, number uint64, key IDKey, count uint64) (*IDRunWriter, error) {
	r := &IDRun{IDRunInfo: IDRunInfo{Number: number}, disk: disk, path: filepath.Join(dir, IDRunName(number)), incarnation: incarnation, key: key, filter: newIDFilter(count)}
	w := &IDRunWriter{run: r, tmp: r.path + tmpSuffix}
	var err error
	if w.file, err = disk.Create(w.tmp); err != nil {
		return nil, err
	}
	return w, nil
}

// Add appends one id. An id must come once, hashes ascending.
func (w *IDRunWriter) Add(hash uint64, id ID) error {
	r := w.run
	if w.err == nil && r.Count > 0 && hash < w.last {
		panic("edgestore: ids of a run are out of order")
	}
	if w.n == 0 {
		w.first = hash
	}
	w.block = binary.AppendUvarint(w.block, uint64(len(id.ID)))
	w.block = append(w.block, id.ID...)
	w.block = binary.AppendUvarint(w.block, id.Seq)
	w.block = binary.AppendVarint(w.block, id.At)
	if r.Count == 0 {
		r.First, r.Last = id.At, id.At
	}
	r.First, r.Last = min(r.First, id.At), max(r.Last, id.At)
	r.filter.add(hash)
	w.last = hash
	w.n++
	r.Count++
	if len(w.block) >= idBlockBytes-recordHeader {
		w.cut()
	}
	return w.err
}

// cut ends the block under way.
func (w *IDRunWriter) cut() {
	if w.n == 0 || w.err != nil {
		return
	}
	r := w.run
	at := w.offset + int64(len(w.buf))
	if at > maxIDRunBytes {
		w.err = fmt.Errorf("%s: too many ids for one run", r.path)
		return
	}
	r.blocks = append(r.blocks, idBlock{uint32(w.first >> 32), uint32(at)})
	p := binary.AppendUvarint(make([]byte, 0, len(w.block)+10), w.n)
	w.put(&record{kind: kindIDs, id: uint64(len(r.blocks) - 1), payload: append(p, w.block...)})
	w.block, w.n = w.block[:0], 0
}

func (w *IDRunWriter) put(rec *record) (crc uint32) {
	rec.incarnation, rec.flush = w.run.incarnation, w.run.Number
	b, crc := encodeRecord(rec)
	w.buf = append(w.buf, b...)
	if len(w.buf) >= idWriteBytes {
		w.write()
	}
	return crc
}

func (w *IDRunWriter) write() {
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	_, w.err = w.file.WriteAt(w.buf, w.offset)
	w.offset += int64(len(w.buf))
	w.buf = w.buf[:0]
}

// Finish makes the run durable under its name.
func (w *IDRunWriter) Finish() (*IDRun, error) {
	w.cut()
	r := w.run
	r.End = uint64(w.offset) + uint64(len(w.buf))
	r.CRC = w.put(&record{kind: kindIDsEnd, payload: r.appendEnd(nil)})
	w.write()
	r.Size = uint64(w.offset)
	err := w.err
	if err == nil {
		err = w.file.Sync()
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = r.disk.Rename(w.tmp, r.path)
	}
	if err == nil {
		err = r.disk.SyncDir(filepath.Dir(r.path))
	}
	if err != nil {
		_ = r.disk.Remove(w.tmp)
		return nil, fmt.Errorf("ids %s: %w", r.path, err)
	}
	r.blocks = slices.Clip(r.blocks)
	return r, nil
}

// Discard gives the run up.
func (w *IDRunWriter) Discard() {
	_ = w.file.Close()
	_ = w.run.disk.Remove(w.tmp)
}

// appendEnd is what the last record says.
func (r *IDRun) appendEnd(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.key[0])
	b = binary.LittleEndian.AppendUint64(b, r.key[1])
	b = binary.AppendUvarint(b, r.Count)
	b = binary.AppendVarint(b, r.First)
	b = binary.AppendVarint(b, r.Last)
	b = binary.AppendUvarint(b, uint64(len(r.blocks)))
	for _, x := range r.blocks {
		b = binary.LittleEndian.AppendUint32(b, x.hash)
		b = binary.LittleEndian.AppendUint32(b, x.offset)
	}
	b = binary.AppendUvarint(b, uint64(len(r.filter.words)))
	for _, x := range r.filter.words {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

func (r *IDRun) readEnd(payload []byte) error {
	p := reader{b: payload}
	if k := p.bytes(16); p.err == nil {
		r.key = IDKey{binary.LittleEndian.Uint64(k), binary.LittleEndian.Uint64(k[8:])}
	}
	r.Count, r.First, r.Last = p.uvarint(maxIDRunBytes), p.varint(), p.varint()
	blocks := p.bytes(8 * p.uvarint(maxIDRunBytes/8))
	for i := 0; i+8 <= len(blocks); i += 8 {
		r.blocks = append(r.blocks, idBlock{binary.LittleEndian.Uint32(blocks[i:]), binary.LittleEndian.Uint32(blocks[i+4:])})
	}
	words := p.bytes(8 * p.uvarint(maxIDRunBytes/8))
	r.filter.words = make([]uint64, len(words)/8)
	for i := range r.filter.words {
		r.filter.words[i] = binary.LittleEndian.Uint64(words[8*i:])
	}
	p.end()
	if p.err == nil && (len(r.filter.words) == 0 || len(r.filter.words)%idFilterWords != 0) {
		p.fail("bad filter")
	}
	return p.err
}

// OpenIDRun opens the run that info means. The error is of class ErrCorrupt
// when it is gone, another one, or its last record is damaged.
func OpenIDRun(disk vfs.FS, dir string, incarnation uint64, info IDRunInfo) (*IDRun, error) {
	r := &IDRun{IDRunInfo: info, disk: disk, path: filepath.Join(dir, IDRunName(info.Number)), incarnation: incarnation}
	if info.Size < info.End || info.Size > 2*maxIDRunBytes {
		return nil, &CorruptError{r.path, "size", "makes no sense"}
	}
	rec, err := r.read(int64(info.End), int(info.Size-info.End), kindIDsEnd)
	if err == nil && rec.crc != info.CRC {
		err = &CorruptError{r.path, "end", "another run"}
	}
	if err == nil {
		if err = r.readEnd(rec.payload); err != nil {
			err = corrupt(r.path, "end", err)
		}
	}
	if err == nil && r.IDRunInfo != info {
		err = &CorruptError{r.path, "end", "another run"}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// read reads one record. What the disk does not give is tried again, and what
// is wrong is read twice before it counts as damage.
func (r *IDRun) read(at int64, n int, kind byte) (rec record, err error) {
	b := make([]byte, n)
	for range readTries {
		if err = r.readBytes(b, at); err != nil {
			continue
		}
		if rec, err = parseRecord(b, kind); err == nil && (rec.incarnation != r.incarnation || rec.flush != r.Number) {
			err = fmt.Errorf("of another run: %w", ErrCorrupt)
		}
		if err == nil || !isCorrupt(err) {
			return rec, err
		}
		err = corrupt(r.path, "record at "+strconv.FormatInt(at, 10), err)
	}
	return rec, err
}

// readBytes opens the file for one read: runs are many, descriptors few, and an
// id that is not there is found in the filter.
func (r *IDRun) readBytes(b []byte, at int64) error {
	f, err := r.disk.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &CorruptError{r.path, "open", "the file is gone"}
	}
	if err != nil {
		return &ioError{r.path, "open", err}
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return &ioError{r.path, "size", err}
	}
	if at+int64(len(b)) > size {
		return &CorruptError{r.path, "size", "the file is too short"}
	}
	if _, err := f.ReadAt(b, at); err != nil {
		return &ioError{r.path, "read", err}
	}
	return nil
}

// blockEnd is where block i ends.
func (r *IDRun) blockEnd(i int) int64 {
	if i+1 < len(r.blocks) {
		return int64(r.blocks[i+1].offset)
	}
	return int64(r.End)
}

func (r *IDRun) readBlock(i int) (idList, error) {
	at := int64(r.blocks[i].offset)
	rec, err := r.read(at, int(r.blockEnd(i)-at), kindIDs)
	if err != nil {
		return idList{}, err
	}
	l := idList{r: reader{b: rec.payload}}
	l.n = l.r.uvarint(maxIDRunBytes)
	return l, nil
}

// idList takes ids off a block.
type idList struct {
	r reader
	n uint64
}

func (l *idList) next() (id ID, ok bool, err error) {
	if l.n == 0 || l.r.err != nil {
		return ID{}, false, l.r.err
	}
	l.n--
	id = ID{l.r.bytes(l.r.uvarint(maxIDRunBytes)), l.r.uvarint(1<<64 - 1), l.r.varint()}
	return id, l.r.err == nil, l.r.err
}

// MayHave reports whether Find would have to read.
func (r *IDRun) MayHave(hash uint64) bool { return r.filter.mayHave(hash) }

// Find looks for an id with this hash. An error of class ErrCorrupt says that
// the id may have been in what is damaged; another one says nothing.
func (r *IDRun) Find(hash uint64, id []byte) (found ID, ok bool, err error) {
	if !r.MayHave(hash) {
		return ID{}, false, nil
	}
	half := uint32(hash >> 32)
	i, _ := slices.BinarySearchFunc(r.blocks, half, func(b idBlock, half uint32) int {
		if b.hash > half {
			return 1
		}
		return -1
	})
	// Ids whose hashes begin alike may lie in several blocks.
	for i--; i >= 0; i-- {
		l, err := r.readBlock(i)
		if err != nil {
			return ID{}, false, err
		}
		for {
			x, more, err := l.next()
			if err != nil {
				return ID{}, false, corrupt(r.path, "block "+strconv.Itoa(i), err)
			}
			if !more {
				break
			}
			if bytes.Equal(x.ID, id) {
				return x, true, nil
			}
		}
		if r.blocks[i].hash < half {
			break
		}
	}
	return ID{}, false, nil
}

// Hash is the hash that the run is ordered by.
func (r *IDRun) Hash(id []byte) uint64 { return r.key.Hash(id) }

// Each calls f for every id, in the order of their hashes; what it is given is
// its own.
func (r *IDRun) Each(f func(ID) error) error {
	var bad error
	c := idCursor{run: r, damaged: func(err error) { bad = err }}
	for {
		if err := errors.Join(c.step(), bad); err != nil || c.done {
			return err
		}
		if err := f(c.id); err != nil {
			return err
		}
	}
}

// Remove removes the file; it is durable with the next sync of the folder, and
// need not be.
func (r *IDRun) Remove() error {
	if err := r.disk.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// MergeIDRuns writes one run of several that follow each other, oldest first,
// without what came at or before dead. What is damaged in them is left out and
// told to damaged.
func MergeIDRuns(runs []*IDRun, number uint64, dead int64, damaged func(error)) (*IDRun, error) {
	count := uint64(0)
	list := make([]*idCursor, 0, len(runs))
	for i := len(runs) - 1; i >= 0; i-- { // of two of one id the newer comes first
		count += runs[i].Count
		list = append(list, &idCursor{run: runs[i], damaged: damaged})
	}
	w, err := CreateIDRun(runs[0].disk, filepath.Dir(runs[0].path), runs[0].incarnation, number, runs[0].key, count)
	if err != nil {
		return nil, err
	}
	if err := mergeIDs(w, list, dead); err != nil {
		w.Discard()
		return nil, err
	}
	return w.Finish()
}

func mergeIDs(w *IDRunWriter, list []*idCursor, dead int64) error {
	for _, c := range list {
		if err := c.step(); err != nil {
			return err
		}
	}
	var written [][]byte // of the hash written last
	for {
		var least *idCursor
		for _, c := range list {
			if !c.done && (least == nil || c.hash < least.hash) {
				least = c
			}
		}
		if least == nil {
			return nil
		}
		if w.run.Count == 0 || least.hash != w.last {
			written = written[:0]
		}
		known := slices.ContainsFunc(written, func(id []byte) bool { return bytes.Equal(id, least.id.ID) })
		if !known && least.id.At > dead {
			if err := w.Add(least.hash, least.id); err != nil {
				return err
			}
			written = append(written, least.id.ID)
		}
		if err := least.step(); err != nil {
			return err
		}
	}
}

// idCursor walks through a run.
type idCursor struct {
	run     *IDRun
	damaged func(error)
	block   int
	list    idList
	id      ID
	hash    uint64
	done    bool
}

func (c *idCursor) step() error {
	for {
		id, ok, err := c.list.next()
		if err != nil {
			c.damaged(corrupt(c.run.path, "block "+strconv.Itoa(c.block-1), err))
			c.list = idList{}
			continue
		}
		if ok {
			if hash := c.run.key.Hash(id.ID); hash >= c.hash {
				c.id, c.hash = id, hash
				return nil
			}
			continue // only a program with a fault wrote that
		}
		if c.block == len(c.run.blocks) {
			c.done = true
			return nil
		}
		c.list, err = c.run.readBlock(c.block)
		c.block++
		if isCorrupt(err) {
			c.damaged(err)
			c.list = idList{}
		} else if err != nil {
			return err
		}
	}
}

// RemoveIDRuns removes the runs in dir that keep does not name, and what was not
// finished.
func RemoveIDRuns(disk vfs.FS, dir string, keep func(number uint64) bool) error {
	names, err := disk.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		n, ours := idRunNumber(strings.TrimSuffix(name, tmpSuffix))
		if !ours || !strings.HasSuffix(name, tmpSuffix) && keep(n) {
			continue
		}
		if rerr := disk.Remove(filepath.Join(dir, name)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// checkIDRun reads a whole run, whoever it belongs to, and tells how many whole
// records are in it.
func checkIDRun(disk vfs.FS, path string, incarnation uint64) (records int, format int, err error) {
	number, _ := idRunNumber(filepath.Base(path))
	f, err := disk.Open(path)
	if err != nil {
		return 0, 0, &ioError{path, "open", err}
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, 0, &ioError{path, "size", err}
	}
	r := &IDRun{IDRunInfo: IDRunInfo{Number: number}, disk: disk, path: path, incarnation: incarnation}
	head := make([]byte, recordHeader)
	for at := int64(0); ; {
		damaged := func(why string) error { return &CorruptError{path, "record at " + strconv.FormatInt(at, 10), why} }
		if at+recordHeader > size {
			return records, format, damaged("the file is too short")
		}
		if _, err := f.ReadAt(head, at); err != nil {
			return records, format, &ioError{path, "read", err}
		}
		n := int64(recordHeader) + int64(binary.LittleEndian.Uint32(head[8:]))
		if at+n > size {
			return records, format, damaged("the file is too short")
		}
		kind := byte(kindIDs)
		if head[5] == kindIDsEnd {
			kind = kindIDsEnd
		}
		rec, err := r.read(at, int(n), kind)
		if err != nil {
			return records, format, err
		}
		records, format = records+1, max(format, int(rec.format))
		if at += n; kind == kindIDsEnd {
			if at < size {
				return records, format, damaged("bytes left over")
			}
			if err := r.readEnd(rec.payload); err != nil {
				return records, format, corrupt(path, "end", err)
			}
			return records, format, nil
		}
	}
}
