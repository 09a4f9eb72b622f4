package edgestore

import (
	"testing"

	"go.etcd.io/bbolt"
)

// ChunkRows counts the rows of chunks in the head of a file store.
func ChunkRows(t testing.TB, s Store) (n int) {
	t.Helper()
	err := s.(*fileStore).files.head.view("count", func(tx *bbolt.Tx) error {
		n = tx.Bucket(chunksBucket).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Chunks counts the chunks that the directory names.
func Chunks(s Store) (n int) {
	for _, p := range s.(*fileStore).mu.dir.pages {
		n += len(p.refs)
	}
	return n
}
