package jetstream

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
)

// fileLog is what the engine needs of the journal.
type fileLog interface {
	Log
	edgestore.BlobReader
	Replay(from edgestore.LSN, f func(*edgestore.Entry) error) error
	Start(apply func([]edgestore.Entry))
	Sync(ctx context.Context) error
	Release(upTo edgestore.LSN)
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
	o.Dir = filepath.Join(d.c.Dir, "journal")
	j, _, err := journal.Open(o)
	if err != nil {
		return nil, err
	}
	return j, nil
}

func (d diskBackend) table() (table, error) {
	return nil, errors.New("no table yet")
}

func (d diskBackend) store(incarnation uint64, cfg *StreamConfig, blobs edgestore.BlobReader) (edgestore.Store, error) {
	return nil, errors.New("no file store yet")
}

func (d diskBackend) clean(keep func(incarnation uint64) bool) error { return nil }
