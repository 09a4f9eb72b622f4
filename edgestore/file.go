package edgestore

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/frondmq/frond/edgestore/vfs"
)

// FileOptions say where and how a file store keeps a stream.
type FileOptions struct {
	// Dir is the stream's own folder; it is made when it does not exist.
	Dir string
	// Incarnation names the stream. A folder of another one is refused.
	Incarnation uint64
	// FirstSeq is what a new stream begins with; 0 counts as 1.
	FirstSeq uint64
	// Blobs reads messages that are not in chunks yet: the journal.
	Blobs BlobReader
	// MaxFileBytes is when a new file is begun; 0, and the most, is 64 MB on
	// 32-bit machines, where all maps share one small address space, else 256 MB.
	MaxFileBytes int64
	// CacheBytes bounds the decoded chunks in memory; 0 is 1 MB.
	CacheBytes int64
	// Caches bounds them over all stores that share it; nil: there is no bound.
	Caches *CachePool
	// Compression packs the bodies in chunks with S2.
	Compression bool
	// SetAside: when nothing can be salvaged the files are set aside and a new
	// stream is begun; Opening tells. Else that is an error of class ErrCorrupt.
	SetAside bool
	// Late: a new stream has no folder and no files until its first flush, so
	// beginning it costs nothing. Whoever sets it begins it anew when there are
	// none at the next open.
	Late bool
	// Invariants makes the store check its own laws after every flush.
	Invariants bool
	// TxBytes is how much of a large flush goes into one transaction, and so
	// about what a flush takes in memory; 0 is 4 MB.
	TxBytes int
	// Damaged, if not nil, hears of messages that were found unreadable: a Lose
	// is due. It may be called from any goroutine that reads or flushes, and
	// more than once, holds up whoever found it and must not call the store.
	Damaged func(first, last uint64, err error)
	// ReadFailed, if not nil, hears of read errors that are no damage. Nothing
	// is given up then: the error is returned, and the next call tries again.
	ReadFailed func(err error)
	// WriteFailed, if not nil, hears of failed writes, syncs and commits of the
	// store's files (not of a full disk). What was sealed is kept, and Applied
	// does not move.
	WriteFailed func(err error)
	// Files bounds the open files of all stores that share it; nil: no bound. With
	// it a small file is known by one read, and is opened, and locked against other
	// processes, when it is used: whoever shares files sees to it that nobody else
	// uses the folders.
	Files *FilePool
	// StatelessEnd, if not nil, is asked when nothing but chunks and named values
	// is left of a stream: messages above the sequence that it tells come again
	// from elsewhere, so they are not taken from the chunks, and of the values
	// those that keep names.
	StatelessEnd func() (last uint64, keep func(key string) bool, ok bool)
	// Again, if not nil, is asked when damaged files were searched and messages are
	// lost: it gives those, ascending, that have these sequences elsewhere, and were
	// there when the stream had come to chain and last. value reads a named value as
	// of then, nil is none. What it says of a message is final. After an error
	// nothing is taken. lost is only read.
	Again func(chain Chain, last uint64, lost []SeqRange, value func(key string) ([]byte, error), give func(*Msg) error) error
	// Disk is where folders are made and files renamed and removed; nil is the
	// machine's. The files themselves are bbolt's, which are always real.
	Disk vfs.FS
	// Hooks for tests. BeforeWrite is asked before each write transaction and
	// fails it: nothing was written. The error of AfterWrite is that of the last
	// sync of a transaction: all is visible, and nobody knows what is on the
	// disk. BeforeRead is asked before each read of a file.
	BeforeWrite func(place string) error
	AfterWrite  func(place string) error
	BeforeRead  func(path, place string) error
}

func (o *FileOptions) fill() {
	most := int64(64 << 20)
	if strconv.IntSize == 64 {
		most = 256 << 20
	}
	if o.MaxFileBytes == 0 || o.MaxFileBytes > most {
		o.MaxFileBytes = most
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 1 << 20
	}
	if o.Caches == nil {
		o.Caches = NewCachePool(math.MaxInt64)
	}
	if o.TxBytes == 0 {
		o.TxBytes = 4 << 20
	}
	if o.Disk == nil {
		o.Disk = vfs.OS{}
	}
}

// bareOptions are for a file that is looked at outside of a store.
func bareOptions() *FileOptions {
	o := new(FileOptions)
	o.fill()
	return o
}

// fileStore keeps a stream in chunks on bbolt files.
//
// The newest file, the head, holds all of the state and the chunks written to
// it; older files are only read, and unlinked when no chunk in them is needed.
// So a flush is one transaction of one file. Chunks of old files that have
// become sparse are moved to the head.
//
// Laws: what a flush writes is the store as of its seal, however far the
// memory has gone on; a record or chunk is used only after its checksum, and a
// chunk only if the directory names that very version of it.
//
// A device has very many streams of a few messages: what most of them never have
// stands behind pointers.
type fileStore struct {
	base
	o     *FileOptions
	cache atomic.Pointer[chunkCache] // nil: nothing was read yet
	files fileSet

	// sealed waits for a flush, inflight is being flushed; guarded by mu.
	sealed, inflight *seal

	flushMu sync.Mutex // one flush at a time; guards what follows
	state   fileState  // as of the last flush
	number  uint64     // of the last flush
	// records are the checksums of all records in the head but the state.
	records recordSums
	aux     *[]Aux // those of an image, until somebody has them or the next flush
	// orphans tells that a failed flush may have left rows behind.
	orphans bool
	// unnamed tells that the name of the head may not be on the disk: nothing
	// that only it has is durable. unlinks wait for that.
	unnamed bool
	looking bool     // nothing is written
	noRuns  bool     // see NoIDRuns
	unmade  bool     // there is no file yet: see FileOptions.Late
	free    uint32   // no file in the folder had this number at the open, nor a higher one
	rare    *rarely  // nil: nothing of it
	opening *Opening // nil: nothing to tell
	losses  *losses  // as of the last flush; nil: none
	applied atomic.Uint64
	chain   atomic.Pointer[Chain]
}

// rarely is what few flushes need.
type rarely struct {
	unlinks []uint32 // files that go when the name of the head is on the disk
	// husks are the chunks that a flush on a full disk left no bodies of.
	husks map[chunkKey]bool
}

// rareties is what is rarely there, made when it is not.
func (s *fileStore) rareties() *rarely {
	if s.rare == nil {
		s.rare = new(rarely)
	}
	return s.rare
}

// lostBefore is what the files say is lost, as of the last flush.
func (s *fileStore) lostBefore() losses {
	if s.losses == nil {
		return losses{}
	}
	return *s.losses
}

// fileSet is the bbolt files of a store.
type fileSet struct {
	mu   sync.Mutex
	head *boltFile
	id   uint32 // of the head
	more *moreFiles
}

// moreFiles is what a store of one sound file has not.
type moreFiles struct {
	old  map[uint32]*oldFile
	tick uint64
	raw  map[uint32]rawIndex // scans of damaged files
}

type oldFile struct {
	*boltFile
	used uint64
}

// maxOpenFiles bounds how many old files of one store are mapped.
const maxOpenFiles = 4

const fileSuffix = ".chunks"

// fileDigits is how many digits of a file's number its name has at least.
const fileDigits = 8

func fileName(dir string, id uint32) string {
	digits := strconv.FormatUint(uint64(id), 10)
	return filepath.Join(dir, "00000000"[:max(fileDigits-len(digits), 0)]+digits+fileSuffix)
}

// get returns a file by number, nil when the store does not have it.
func (f *fileSet) get(id uint32) *boltFile {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == f.id {
		return f.head
	}
	if f.more == nil {
		return nil
	}
	o := f.more.old[id]
	if o == nil {
		return nil
	}
	f.more.tick++
	if o.used == 0 {
		f.evictLocked()
	}
	o.used = f.more.tick
	return o.boltFile
}

func (f *fileSet) headID() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id
}

// evictLocked closes the old file that was not used for longest when many are
// open. Closing waits for its readers, which are short.
func (f *fileSet) evictLocked() {
	var oldest *oldFile
	open := 0
	for _, o := range f.more.old {
		if o.used > 0 {
			open++
			if oldest == nil || o.used < oldest.used {
				oldest = o
			}
		}
	}
	if open >= maxOpenFiles {
		oldest.used = 0
		_ = oldest.close()
	}
}

// roll makes head the newest file; the one before becomes an old one.
func (f *fileSet) roll(head *boltFile, id uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.head != nil {
		err = f.head.retire()
		f.addOld(f.id, &oldFile{boltFile: f.head})
	}
	f.head, f.id = head, id
	return err
}

// addOld is called with mu held, or while the store opens.
func (f *fileSet) addOld(id uint32, o *oldFile) { f.moreLocked().old[id] = o }

// moreLocked makes what most stores do without, for they have one file.
func (f *fileSet) moreLocked() *moreFiles {
	if f.more == nil {
		f.more = &moreFiles{old: make(map[uint32]*oldFile), raw: make(map[uint32]rawIndex)}
	}
	return f.more
}

// unlink removes an old file.
func (f *fileSet) unlink(id uint32) error {
	f.mu.Lock()
	var o *oldFile
	if f.more != nil {
		o = f.more.old[id]
		delete(f.more.old, id)
		delete(f.more.raw, id)
	}
	f.mu.Unlock()
	if o == nil {
		return nil
	}
	err := o.shut()
	if rerr := o.hooks.Disk.Remove(o.path); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return errors.Join(err, o.dropMark())
}

func (f *fileSet) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.head != nil {
		err = f.head.shut()
	}
	if f.more == nil {
		return err
	}
	for _, o := range f.more.old {
		err = errors.Join(err, o.shut())
	}
	return err
}

// cached implements backing.
func (s *fileStore) cached(k chunkKey) *chunk { return s.cache.Load().get(k) }

// remember puts a chunk into the cache.
func (s *fileStore) remember(c *chunk) {
	if s.cache.Load() == nil {
		s.cache.CompareAndSwap(nil, newChunkCache(s.o.CacheBytes, s.o.Caches))
	}
	s.cache.Load().put(c)
}

// blob implements backing.
func (s *fileStore) blob(at Location, buf []byte, hot bool) ([]byte, error) {
	if s.o.Blobs == nil {
		return nil, fmt.Errorf("no journal to read %v from", at)
	}
	if hot {
		b, ok := s.o.Blobs.Recent(at, buf)
		if !ok {
			return b, ErrCold
		}
		return b, nil
	}
	return s.o.Blobs.Read(at, buf)
}

// load implements backing: it reads a chunk and checks that it is the one the
// directory means. When the tree of a file is damaged the chunk may still be in
// its pages: then they are searched.
func (s *fileStore) load(ref *chunkRef) (*chunk, error) {
	if c := s.cached(ref.key()); c != nil {
		return c, nil
	}
	c, err := s.loadFrom(ref)
	if isCorrupt(err) {
		if h := s.loadHusk(ref); h != nil {
			return h, nil // not cached: its bodies are asked for by nobody
		}
		c, err = s.salvageChunk(ref, err)
	}
	if err != nil {
		return nil, err
	}
	filter := c.filter
	ref.filter.words.CompareAndSwap(nil, &filter)
	s.remember(c)
	return c, nil
}

func (s *fileStore) loadFrom(ref *chunkRef) (*chunk, error) {
	f := s.files.get(ref.file)
	place := "chunk " + strconv.FormatUint(ref.first, 10)
	if f == nil {
		return nil, &CorruptError{fileName(s.o.Dir, ref.file), place, "no such file"}
	}
	value, err := readRow(f, ref, place)
	if err != nil {
		return nil, err
	}
	c, err := s.decode(value, ref)
	if isCorrupt(err) {
		err = corrupt(f.path, place, err)
	}
	return c, err
}

// readRow copies the value of a chunk out of its file.
func readRow(f *boltFile, ref *chunkRef, place string) (value []byte, err error) {
	err = f.view(place, func(tx *bbolt.Tx) error {
		b := tx.Bucket(chunksBucket)
		if b == nil {
			return &CorruptError{f.path, place, "no chunks in the file"}
		}
		v := b.Get(ref.rowKey())
		if uint64(len(v)) != uint64(ref.length) {
			return &CorruptError{f.path, place, fmt.Sprintf("%d bytes where %d belong", len(v), ref.length)}
		}
		value = append([]byte(nil), v...)
		return nil
	})
	return value, err
}

// decode checks that value is the chunk that ref means.
func (s *fileStore) decode(value []byte, ref *chunkRef) (*chunk, error) {
	c, err := decodeChunk(value, ref.file)
	if err != nil {
		return nil, err
	}
	if c.key != ref.key() || c.incarn != s.o.Incarnation || c.last != ref.last || len(c.msgs) != int(ref.msgs) {
		return nil, fmt.Errorf("another chunk: %w", ErrCorrupt)
	}
	if _, err := c.bodies(); err != nil {
		return nil, err
	}
	return c, nil
}

// Applied is the LSN that a restart begins above.
func (s *fileStore) Applied() LSN { return LSN(s.applied.Load()) }

// Chain is the chain of the operation that Applied names.
func (s *fileStore) Chain() Chain {
	if c := s.chain.Load(); c != nil {
		return *c
	}
	return Chain{}
}

// setDurable makes known what the files hold.
func (s *fileStore) setDurable(st *fileState) {
	s.applied.Store(uint64(st.applied))
	c := st.chain
	s.chain.Store(&c)
}

// Aux visits the durable values. They are all read before f sees the first, so
// that f may use the store.
func (s *fileStore) Aux(prefix string, f func(key string, value []byte) error) error {
	list, err := s.auxList(prefix)
	if err != nil {
		return err
	}
	for _, a := range list {
		if err := f(a.Key, a.Value); err != nil {
			return fmt.Errorf("aux %q: %w", a.Key, err)
		}
	}
	return nil
}

func (s *fileStore) auxList(prefix string) ([]Aux, error) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	if s.isClosed() {
		return nil, ErrClosed
	}
	if kept := s.aux; kept != nil && prefix == "" && s.files.head.mayReadAux(*kept) {
		s.aux = nil
		return *kept, nil
	}
	var list []Aux
	s.records.each(func(k string, _ uint32) {
		if k[0] == kindAux && strings.HasPrefix(k[1:], prefix) {
			list = append(list, Aux{Key: k[1:]})
		}
	})
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	for i := range list {
		var err error
		if list[i].Value, err = s.readAux(string(rune(kindAux)) + list[i].Key); err != nil {
			return nil, fmt.Errorf("aux %q: %w", list[i].Key, err)
		}
	}
	return list, nil
}

func (s *fileStore) readAux(k string) (value []byte, err error) {
	err = s.files.head.view("aux "+k[1:], func(tx *bbolt.Tx) error {
		v, err := getIn(tx)(k)
		if err != nil {
			return err
		}
		rec, err := parseRecord(v, kindAux)
		if err != nil {
			return err
		}
		key, val, err := decodeAux(rec.payload)
		if err == nil && key != k[1:] {
			err = fmt.Errorf("value of %q: %w", key, ErrCorrupt)
		}
		value = append([]byte{}, val...)
		return err
	})
	return value, err
}

func (s *fileStore) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.closed
}

// Close closes the files. What was not flushed is applied again from the
// journal after the next open.
func (s *fileStore) Close() error {
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		return nil
	}
	s.mu.closed = true
	s.mu.Unlock()
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.cache.CompareAndSwap(nil, newChunkCache(0, s.o.Caches)) // a read that is under way keeps nothing
	s.o.Caches.remove(s.cache.Load())
	s.aux = nil
	return s.files.close()
}

// Delete closes the store and removes its files, and its folder if nothing
// else is in it.
func (s *fileStore) Delete() error {
	err := s.Close()
	names, lerr := listFiles(s.o.Dir)
	err = errors.Join(err, lerr)
	for _, n := range names {
		if rerr := os.Remove(filepath.Join(s.o.Dir, n)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if os.Remove(s.o.Dir) == nil {
		return errors.Join(err, s.o.Disk.SyncDir(filepath.Dir(s.o.Dir)))
	}
	return err
}

// listFiles names the files in dir that are ours, temporary ones too.
func listFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), damagedInfix)
		if _, ok := fileID(strings.TrimSuffix(strings.TrimSuffix(name, tmpSuffix), unsureSuffix)); ok || isIDRunFile(name) {
			out = append(out, e.Name())
		}
	}
	return out, err
}
