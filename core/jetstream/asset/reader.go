package asset

import (
	"sync"

	"github.com/frondmq/frond/core/jetstream/consumer"
)

// Reader decodes configurations that are kept, most of them without reflection
// (text.go). They share the metadata of those
// that have nothing in it but the required level, which are nearly all: a map
// costs more than all else that a stream's configuration has. A Reader may be
// used by several goroutines.
type Reader struct {
	mu    sync.Mutex
	share map[string]map[string]string // by the level
}

// maxLevels bounds the levels that are shared: there are few.
const maxLevels = 16

// intern returns m, or a map that says the same and must not be changed.
func (r *Reader) intern(m map[string]string) map[string]string {
	level, ok := m[consumer.MetaRequiredLevel]
	if !ok || len(m) > 1 {
		return m
	}
	return r.level(level)
}

// level returns metadata that says this level and must not be changed.
func (r *Reader) level(level string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if same := r.share[level]; same != nil {
		return same
	}
	m := map[string]string{consumer.MetaRequiredLevel: level}
	if len(r.share) < maxLevels {
		if r.share == nil {
			r.share = make(map[string]map[string]string)
		}
		r.share[level] = m
	}
	return m
}

// Decode is Decode for a configuration that is kept: it must not be changed.
func (r *Reader) Decode(b []byte) (*StreamConfig, error) {
	if c, ok := readOwn(b, r); ok {
		return c, nil
	}
	c, err := Decode(b)
	if err == nil {
		c.Metadata = r.intern(c.Metadata)
	}
	return c, err
}
