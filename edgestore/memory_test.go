package edgestore_test

import (
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func TestMemoryStore(t *testing.T) {
	edgestoretest.Run(t, edgestoretest.Kind{Memory: true, Steps: rounds(200, 500), Seed: *seedFlag}, func(t testing.TB, _ *edgestoretest.Blobs, firstSeq uint64) edgestore.Store {
		return edgestore.NewMemoryStore(firstSeq)
	})
}
