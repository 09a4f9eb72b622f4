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
type meta struct {
	format uint32
	id     uint64
	boot   uint32
	floor  edgestore.LSN // everything up to here was durable at the last start
}

const (
	metaName  = "journal.id"
	metaTmp   = "journal.tmp"
	metaMagic = "frondjnl"
	metaBytes = 36
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

// readMeta reads the file. It is not ok when there is none or it is damaged:
// then the segments say what is needed.
func readMeta(fs vfs.FS, dir string) (m meta, ok bool, err error) {
	f, err := fs.Open(filepath.Join(dir, metaName))
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	b := make([]byte, metaBytes)
	readWhatCanBeRead(f, b, 0)
	m, ok = parseMeta(b)
	return m, ok, f.Close()
}

// write replaces the file: a temporary one, sync, rename, sync of the folder.
// On a full disk it is written over where it stands, which needs no room: a
// server must come up to make room, and 36 bytes in one sector are written
// whole or not at all.
func (m meta) write(fs vfs.FS, dir string) error {
	name, tmp := filepath.Join(dir, metaName), filepath.Join(dir, metaTmp)
	err := m.put(fs.Create(tmp))
	if vfs.IsNoSpace(err) {
		fs.Remove(tmp)
		if m.put(fs.Open(name)) == nil {
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

// put writes to an opened file, syncs and closes it.
func (m meta) put(f vfs.File, err error) error {
	if err != nil {
		return err
	}
	_, err = f.WriteAt(m.bytes(), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
