package jetstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/tinylib/msgp/msgp"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// keptOperations are operations of the journal that belong to a stream nobody
// knows: behind a hole that may hold its creation they are all that is left of
// it. They are kept in a file in the quarantine folder, for the journal is used
// again.
//
// The file begins with a line that says what it is. Each operation is its
// length and its CRC32C, four bytes each, least significant first, and then
// MessagePack values: LSN, seat, place, kind, wall time, data.
type keptOperations struct {
	file *os.File
	path string
	n    int
	buf  []byte
}

const keptHeader = "frond operations of an unknown stream, format 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keep keeps an operation of an unknown stream.
func (r *replay) keep(en *edgestore.Entry) error {
	r.e.raiseIncarnation(en.Incarnation)
	k := r.kept[en.Incarnation]
	if k == nil {
		var err error
		// Another start that comes to the same operations writes the same file.
		if k, err = newKept(r.e.cfg.Dir, en.Incarnation, en.LSN); err != nil {
			return fmt.Errorf("keep operations of unknown stream %d: %w", en.Incarnation, err)
		}
		if r.kept == nil {
			r.kept = make(map[uint64]*keptOperations)
		}
		r.kept[en.Incarnation] = k
	}
	if err := k.add(en); err != nil {
		return fmt.Errorf("keep operations of unknown stream %d: %w", en.Incarnation, err)
	}
	return nil
}

func newKept(dir string, inc uint64, from edgestore.LSN) (*keptOperations, error) {
	base := filepath.Join(dir, quarantineFolder)
	if err := (vfs.OS{}).MkdirAll(base); err != nil {
		return nil, err
	}
	k := &keptOperations{path: filepath.Join(base, fmt.Sprintf("%d-operations-%d", inc, from))}
	var err error
	if k.file, err = os.Create(k.path); err != nil {
		return nil, err
	}
	if _, err = k.file.WriteString(keptHeader); err != nil {
		k.file.Close()
	}
	return k, err
}

func (k *keptOperations) add(en *edgestore.Entry) error {
	b := append(k.buf[:0], make([]byte, 8)...)
	b = msgp.AppendUint64(b, uint64(en.LSN))
	b = msgp.AppendUint64(b, en.Seat)
	b = msgp.AppendUint64(b, en.Place)
	b = msgp.AppendUint64(b, uint64(en.Kind))
	b = msgp.AppendInt64(b, en.Stamp.Wall)
	b = msgp.AppendBytes(b, en.Data)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	k.buf = b
	k.n++
	_, err := k.file.Write(b)
	return err
}

// endKept makes what was kept durable, and tells.
func (r *replay) endKept() error {
	for inc, k := range r.kept {
		err := k.file.Sync()
		if cerr := k.file.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = vfs.OS{}.SyncDir(filepath.Dir(k.path))
		}
		if err != nil {
			return fmt.Errorf("keep operations of unknown stream %d: %w", inc, err)
		}
		r.e.report(Damage{
			Kind: DamageQuarantine, Where: k.path,
			What: fmt.Sprintf("%d operation(s) are of a stream that nobody knows, whose creation is lost; they were kept in %s", k.n, k.path),
			Do:   "look at what is in them (frond store dump), and remove the file when it is not needed",
		})
	}
	return nil
}
