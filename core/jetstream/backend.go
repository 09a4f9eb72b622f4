package jetstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// fileLog is what the engine needs of the journal.
type fileLog interface {
	Log
	edgestore.BlobReader
	Replay(from edgestore.LSN, h edgestore.ReplayHandler) error
	Scan(from edgestore.LSN, f func(*edgestore.Entry) error) error
	Lost(lost func([]edgestore.Entry)) // before Start
	Start(apply func([]edgestore.Entry))
	Sync(ctx context.Context) error
	Release(upTo edgestore.LSN)
	Synced() edgestore.LSN
	Memory() (staged, cached int64)
	Raise(lsn edgestore.LSN) error
	Close() error
}

// table is what the engine needs of edgestore.Table.
type table interface {
	Each(prefix string, f func(key string, value []byte) error) error
	Names(prefix string) []string
	Release()
	Seal(applied edgestore.LSN, aux []edgestore.Aux)
	Flush() error
	Applied() edgestore.LSN
	// Made: there was none.
	Made() bool
	Close() error
}

// backend opens what is durable.
type backend interface {
	journal() (fileLog, journalEnd, error)
	table() (table, error)
	// format is that of the folder. It writes nothing.
	format() (uint64, error)
	// tableAside puts a catalogue that can't be used aside and names where.
	tableAside() (string, error)
	store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error)
	// identity reads from the files of a stream what it is. It is not ok when
	// they do not say.
	identity(incarnation uint64) (c streamCreate, ok bool)
	// where names the folder of a stream.
	where(incarnation uint64) string
	// folders lists the streams that have one, and names beside them that are
	// not of a stream.
	folders() (incarnations []uint64, strange []string, err error)
	// quarantine puts the folder of a stream aside, with a note, and names where.
	quarantine(incarnation uint64, why string) (string, error)
	// remove removes the folder of a stream that was deleted.
	remove(incarnation uint64) error
}

// diskBackend is the real disk: the journal in journal/, the catalogue in
// catalogue.db, each stream in streams/<incarnation>/.
type diskBackend struct{ c *Config }

func (d diskBackend) journal() (fileLog, journalEnd, error) {
	o := d.c.Journal
	o.Dir = d.c.journalDir()
	if d.c.disk != nil {
		d.c.disk.watch(&o.Events)
	}
	j, rec, err := journal.Open(o)
	if err != nil {
		return nil, journalEnd{}, err
	}
	d.c.Logger.Debug("journal opened", "recovery", rec)
	end := journalEnd{missing: rec.Missing, since: rec.HeadsSince, start: journalStart{rec.ID, rec.Boot}, remade: rec.Remade, mended: rec.Mended, aside: rec.Aside}
	for _, h := range rec.Heads {
		end.heads = append(end.heads, chainHead{h.Incarnation, h.Chain})
	}
	if rec.Format != 0 && rec.Format < journal.Format {
		d.c.Logger.Info("the journal goes on in a newer format: an older release does not read it any more", "from", rec.Format, "to", journal.Format)
	}
	return j, end, nil
}

func (d diskBackend) table() (table, error) {
	t, err := edgestore.OpenTableFile(d.tableOptions())
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (d diskBackend) format() (uint64, error) { return FolderFormat(d.c.Dir) }

func (d diskBackend) tableOptions() edgestore.TableOptions {
	path := filepath.Join(d.c.Dir, catalogueFile)
	return edgestore.TableOptions{
		Path:        path,
		ReadFailed:  func(err error) { d.c.disk.ioFailed(DamageRead, path, err) },
		WriteFailed: func(err error) { d.c.disk.ioFailed(DamageWrite, path, err) },
	}
}

func (d diskBackend) streams() string { return filepath.Join(d.c.Dir, streamsFolder) }

func (d diskBackend) where(incarnation uint64) string {
	return filepath.Join(d.streams(), strconv.FormatUint(incarnation, 10))
}

func (d diskBackend) tableAside() (string, error) {
	return setAside(filepath.Join(d.c.Dir, catalogueFile))
}

func (d diskBackend) identity(incarnation uint64) (c streamCreate, ok bool) {
	// Opening makes what is not there: look first.
	dir := d.where(incarnation)
	if files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.chunks")); err != nil || len(files) == 0 {
		return c, false
	}
	st, err := edgestore.OpenFileStore(edgestore.FileOptions{Dir: dir, Incarnation: incarnation})
	if err != nil {
		return c, false
	}
	defer st.Close()
	err = st.Aux(auxIdentity, func(key string, value []byte) (err error) {
		if key == auxIdentity {
			c, err = readStreamCreate(append([]byte(nil), value...))
			ok = err == nil
		}
		return err
	})
	return c, ok && err == nil
}

func (d diskBackend) store(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) (edgestore.Store, error) {
	return edgestore.OpenFileStore(d.storeOptions(cfg, blobs, w))
}

func (d diskBackend) storeOptions(cfg *asset.StreamConfig, blobs edgestore.BlobReader, w *storeWatch) edgestore.FileOptions {
	return edgestore.FileOptions{
		Dir:          d.where(w.inc),
		Incarnation:  w.inc,
		Damaged:      w.damaged,
		ReadFailed:   w.readFailed,
		WriteFailed:  w.writeFailed,
		StatelessEnd: w.journalBegin,
		Again:        w.again,
		FirstSeq:     cfg.FirstSeq,
		Blobs:        blobs,
		CacheBytes:   d.c.StoreCacheBytes,
		Files:        d.c.files,
		Caches:       d.c.caches,
		MaxFileBytes: d.c.StoreFileBytes,
		Compression:  cfg.Compression == asset.S2Compression,
		Late:         true, // until then the journal has it
	}
}

func (d diskBackend) folders() ([]uint64, []string, error) { return streamFolders(d.streams()) }

func (d diskBackend) quarantine(incarnation uint64, why string) (string, error) {
	return quarantine(d.c.Dir, d.where(incarnation), why)
}

func (d diskBackend) remove(incarnation uint64) error {
	if err := os.RemoveAll(d.where(incarnation)); err != nil {
		return err
	}
	err := vfs.OS{}.SyncDir(d.streams())
	if errors.Is(err, os.ErrNotExist) {
		return nil // no stream had files yet
	}
	return err
}
