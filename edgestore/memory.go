package edgestore

import (
	"fmt"
	"sort"
	"strings"
	"sync"
)

// memoryStore keeps a stream in memory only. What a file store makes durable
// it just remembers: the values of Seal are there at once and are gone with
// the process.
type memoryStore struct {
	base
	auxMu   sync.Mutex
	aux     map[string][]byte
	applied LSN
	chain   Chain
}

// NewMemoryStore returns an empty store whose first message will get firstSeq
// (0 counts as 1).
func NewMemoryStore(firstSeq uint64) Store {
	s := &memoryStore{aux: make(map[string][]byte)}
	s.memory = true
	s.init(firstSeq, false)
	return s
}

func (s *memoryStore) Seal(applied LSN, chain Chain, aux []Aux) {
	s.auxMu.Lock()
	defer s.auxMu.Unlock()
	s.applied, s.chain = applied, chain
	for _, a := range aux {
		if a.Value == nil {
			delete(s.aux, a.Key)
		} else {
			s.aux[a.Key] = append([]byte{}, a.Value...)
		}
	}
}

func (s *memoryStore) Flush() error { return nil }

func (s *memoryStore) Applied() LSN {
	s.auxMu.Lock()
	defer s.auxMu.Unlock()
	return s.applied
}

func (s *memoryStore) Chain() Chain {
	s.auxMu.Lock()
	defer s.auxMu.Unlock()
	return s.chain
}

func (s *memoryStore) Aux(prefix string, f func(key string, value []byte) error) error {
	s.auxMu.Lock()
	var list []Aux
	for k, v := range s.aux {
		if strings.HasPrefix(k, prefix) {
			list = append(list, Aux{k, v})
		}
	}
	s.auxMu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	for _, a := range list {
		if err := f(a.Key, a.Value); err != nil {
			return fmt.Errorf("aux %q: %w", a.Key, err)
		}
	}
	return nil
}

func (s *memoryStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	return nil
}

func (s *memoryStore) Delete() error { return s.Close() }
