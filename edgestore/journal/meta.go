package journal

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// meta is the small file that says whose folder this is and counts the boots.
// It has four pages, so that damage of one leaves the others: the identity, a
// mark (see mark.go), what was released, and the mark before or after the other.
type meta struct {
	format uint32
	id     uint64
	boot   uint32
	floor  edgestore.LSN // everything up to here was durable at the last start
}

const (
	metaName  = "journal.id"
	metaTmp   = "journal.tmp"
	lockName  = "lock"
	metaMagic = "frondjnl"
	metaBytes = 36

	markPage    = 1 * pageBytes
	releasePage = 2 * pageBytes
	mark2Page   = 3 * pageBytes
	metaSize    = 4 * pageBytes

	releaseMagic = "frondrel"
	releaseBytes = 24
)

func (m meta) bytes() []byte {
	b := make([]byte, metaBytes)
	copy(b, metaMagic)
	le.PutUint32(b[12:], m.format)
	le.PutUint64(b[16:], m.id)
	le.PutUint32(b[24:], m.boot)
	le.PutUint64(b[28:], uint64(m.floor))
	le.PutUint32(b[8:], crc32.Update(0, castagnoli, b[12:]))
	return b
}

func parseMeta(b []byte) (m meta, ok bool) {
	if len(b) < metaBytes || string(b[:8]) != metaMagic {
		return m, false
	}
	b = b[:metaBytes]
	if crc32.Update(0, castagnoli, b[12:]) != le.Uint32(b[8:]) {
		return m, false
	}
	m.format = le.Uint32(b[12:])
	m.id = le.Uint64(b[16:])
	m.boot = le.Uint32(b[24:])
	m.floor = edgestore.LSN(le.Uint64(b[28:]))
	return m, true
}

// markSeed is what the checksums of the mark and of what was released start
// from; no segment has number 0.
func markSeed(id uint64) uint32 { return segmentSeed(id, 0) }

// putReleased writes that everything up to upTo was released.
func putReleased(b []byte, id uint64, upTo edgestore.LSN) {
	copy(b, releaseMagic)
	le.PutUint32(b[12:], 0)
	le.PutUint64(b[16:], uint64(upTo))
	le.PutUint32(b[8:], crc32.Update(markSeed(id), castagnoli, b[12:releaseBytes]))
}

func getReleased(b []byte, id uint64) (upTo edgestore.LSN, ok bool) {
	if len(b) < releaseBytes || string(b[:8]) != releaseMagic ||
		crc32.Update(markSeed(id), castagnoli, b[12:releaseBytes]) != le.Uint32(b[8:]) {
		return 0, false
	}
	return edgestore.LSN(le.Uint64(b[16:])), true
}

// getMark reads the newer mark of the file.
func getMark(file []byte, id uint64) (m marked, ok bool) {
	m, ok = getMarkPage(file[markPage:][:pageBytes], id)
	if m2, ok2 := getMarkPage(file[mark2Page:][:pageBytes], id); ok2 && (!ok || m2.next > m.next) {
		return m2, true
	}
	return m, ok
}

func getMarkPage(b []byte, id uint64) (m marked, ok bool) {
	var f frame
	body, ok := getFrame(b, markSeed(id), &f)
	if !ok || f.count > 0 || f.header()+body > int64(len(b)) {
		return m, false
	}
	f.body, f.width = b[f.header():][:body], body
	return f.mark(), true
}

// readMeta reads the file, of size bytes; nil when there is none, zeros where it is
// short.
func readMeta(o *Options) (content []byte, size int64, err error) {
	f, err := o.FS.Open(filepath.Join(o.Dir, metaName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, metaSize)
	err = readSurely(f, metaName, o.Events.ReadFailed, b, 0)
	if err == nil {
		size, err = f.Size()
	}
	return b, size, errors.Join(err, f.Close())
}

// damagedPart names what is damaged of a file of size bytes whose first page is
// whole; "" is nothing. A mark is written without a sync: after a crash one that is
// torn is as it may be, and the second may never have been written. A stop in good
// order syncs both.
func (m *meta) damagedPart(content []byte, size int64, clean bool) string {
	if m.format < 2 || size <= pageBytes {
		return "" // older, or written over in place when the disk was full
	}
	if size < mark2Page {
		return "its end"
	}
	if _, ok := getReleased(content[releasePage:], m.id); !ok {
		return "what it says was released"
	}
	one, ok := getMarkPage(content[markPage:][:pageBytes], m.id)
	two, ok2 := getMarkPage(content[mark2Page:][:pageBytes], m.id)
	ok, ok2 = ok && !one.headless, ok2 && !two.headless
	first, second := blank(content[markPage:][:pageBytes]), blank(content[mark2Page:][:pageBytes])
	unwritten := second && (size < metaSize || ok && one.next == m.floor+1)
	if !ok && (first || clean || !ok2) || !ok2 && clean && !unwritten {
		return "a mark of the end of the journal"
	}
	return ""
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// writeMeta replaces the file: a temporary one, sync, rename, sync of the
// folder. On a full disk its first page is written over where it stands, which
// needs no room: a server must come up to make room, and 36 bytes in one sector
// are written whole or not at all. What the other pages say stays true.
func writeMeta(fs vfs.FS, dir string, content []byte) error {
	name, tmp := filepath.Join(dir, metaName), filepath.Join(dir, metaTmp)
	err := putFile(content)(fs.Create(tmp))
	if vfs.IsNoSpace(err) {
		fs.Remove(tmp)
		if putFile(content[:metaBytes])(fs.Open(name)) == nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if err := fs.Rename(tmp, name); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// putFile writes to an opened file, syncs and closes it.
func putFile(b []byte) func(vfs.File, error) error {
	return func(f vfs.File, err error) error {
		if err != nil {
			return err
		}
		_, err = f.WriteAt(b, 0)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	}
}
