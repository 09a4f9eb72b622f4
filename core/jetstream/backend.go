package jetstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// fileLog is what the engine needs of the journal.
type fileLog interface {
	Log
	edgestore.BlobReader
	Replay(from edgestore.LSN, h edgestore.ReplayHandler) error
	Scan(from edgestore.LSN, f func(*edgestore.Entry) error) error
	Start(apply func([]edgestore.Entry))
	Sync(ctx context.Context) error
	Release(upTo edgestore.LSN)
	Raise(lsn edgestore.LSN) error
	Close() error
}

// table is what the engine needs of edgestore.Table.
type table interface {
	Each(prefix string, f func(key string, value []byte) error) error
	Seal(applied edgestore.LSN, aux []edgestore.Aux)
	Flush() error
	Applied() edgestore.LSN
	Close() error
}

// backend opens what is durable.
type backend interface {
	journal() (fileLog, error)
	table() (table, error)
	store(incarnation uint64, cfg *StreamConfig, blobs edgestore.BlobReader) (edgestore.Store, error)
	// clean removes the folders of streams that are not to be kept.
	clean(keep func(incarnation uint64) bool) error
}

// diskBackend is the real disk: the journal in journal/, the catalogue in
// catalogue.db, each stream in streams/<incarnation>/.
type diskBackend struct{ c *Config }

func (d diskBackend) journal() (fileLog, error) {
	o := d.c.Journal
	if o.Dir == "" {
		o.Dir = filepath.Join(d.c.Dir, "journal")
	}
	if d.c.disk != nil {
		d.c.disk.watch(&o.Events)
	}
	j, rec, err := journal.Open(o)
	if err != nil {
		return nil, err
	}
	d.c.Logger.Debug("journal opened", "recovery", rec)
	return j, nil
}

func (d diskBackend) table() (table, error) {
	t, err := edgestore.OpenTable(filepath.Join(d.c.Dir, "catalogue.db"))
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (d diskBackend) streams() string { return filepath.Join(d.c.Dir, "streams") }

func (d diskBackend) store(incarnation uint64, cfg *StreamConfig, blobs edgestore.BlobReader) (edgestore.Store, error) {
	return edgestore.OpenFileStore(edgestore.FileOptions{
		Dir:          filepath.Join(d.streams(), strconv.FormatUint(incarnation, 10)),
		Incarnation:  incarnation,
		FirstSeq:     cfg.FirstSeq,
		Blobs:        blobs,
		CacheBytes:   d.c.StoreCacheBytes,
		MaxFileBytes: d.c.StoreFileBytes,
		Compression:  cfg.Compression == S2Compression,
	})
}

func (d diskBackend) clean(keep func(incarnation uint64) bool) error {
	names, err := os.ReadDir(d.streams())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, n := range names {
		inc, err := strconv.ParseUint(n.Name(), 10, 64)
		if err != nil || keep(inc) {
			continue // not ours, or needed
		}
		errs = append(errs, os.RemoveAll(filepath.Join(d.streams(), n.Name())))
	}
	return errors.Join(errs...)
}
