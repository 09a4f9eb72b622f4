package edgestoretest

import (
	"fmt"
	"sync"

	"github.com/frondmq/frond/edgestore"
)

// Blobs is a journal for tests: it keeps blobs in memory, and never forgets
// one unless told to.
type Blobs struct {
	mu     sync.Mutex
	data   []byte
	broken map[int64]bool
	Reads  int
}

// Add stores the blob of m and says where.
func (b *Blobs) Add(m *edgestore.Msg) edgestore.Location {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := len(b.data)
	b.data = edgestore.AppendBlob(b.data, []byte(m.Subject), m.Header, m.Body)
	return edgestore.Location{Segment: 1, Offset: int64(at), Length: uint32(len(b.data) - at)}
}

// Break makes reading a blob fail as damaged.
func (b *Blobs) Break(at edgestore.Location) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken = make(map[int64]bool)
	}
	b.broken[at.Offset] = true
}

// Recent implements edgestore.BlobReader: nothing is in memory.
func (b *Blobs) Recent(_ edgestore.Location, buf []byte) ([]byte, bool) { return buf, false }

// Read implements edgestore.BlobReader.
func (b *Blobs) Read(at edgestore.Location, buf []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Reads++
	if at.Segment != 1 || at.Offset < 0 || at.Offset+int64(at.Length) > int64(len(b.data)) {
		return nil, fmt.Errorf("blob at %v: no such place", at)
	}
	if b.broken[at.Offset] {
		return nil, fmt.Errorf("blob at %v: %w", at, edgestore.ErrCorrupt)
	}
	return append(buf[:0], b.data[at.Offset:at.Offset+int64(at.Length)]...), nil
}
