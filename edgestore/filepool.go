package edgestore

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// FilePool bounds how many files of stores are open at once, over all stores
// that were given it. Files that nobody uses just now are closed, the least
// recently used first, and opened again when they are needed. While more files
// than the bound are in use at the same moment, more are open.
type FilePool struct {
	max   int
	found atomic.Int64

	mu    sync.Mutex
	open  *list.List // of *boltFile, the last used first
	place map[*boltFile]*list.Element
	image *image // for the next file that is read as a whole; nil: in use, or not made yet
}

// NewFilePool returns a pool of at most max open files (at least 1).
func NewFilePool(max int) *FilePool {
	if max < 1 {
		max = 1
	}
	return &FilePool{max: max, open: list.New(), place: make(map[*boltFile]*list.Element)}
}

// takeImage is what a file is read into; giveImage gives it back.
func (p *FilePool) takeImage() (m *image) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		m, p.image = p.image, nil
	}
	if m == nil {
		m = new(image)
	}
	return m
}

func (p *FilePool) giveImage(m *image) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.image = m
	}
}

// Found is how many bytes the files of all stores had that were opened so far,
// message ids and what is none of a store's too.
func (p *FilePool) Found() int64 { return p.found.Load() }

// Open is how many files are open now.
func (p *FilePool) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open.Len()
}

// used notes that f is used; it may be nil, like the pool.
func (p *FilePool) used(f *boltFile) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.place[f]; e != nil {
		p.open.MoveToFront(e)
	}
}

// opening makes room for f, and counts it. The caller holds f.mu.
func (p *FilePool) opening(f *boltFile) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.image = nil // the start is over, or does not need it
	if p.place[f] == nil {
		p.place[f] = p.open.PushFront(f)
	}
	var idle []*boltFile
	for e := p.open.Back(); e != nil && p.open.Len() > p.max; {
		v := e.Value.(*boltFile)
		before := e.Prev()
		// Whoever holds its lock uses it.
		if v != f && v.mu.TryLock() {
			p.forgetLocked(v)
			idle = append(idle, v)
		}
		e = before
	}
	p.mu.Unlock()
	for _, v := range idle {
		_ = v.closeLocked() // what was committed is on the disk
		v.mu.Unlock()
	}
}

// closed takes f out of the count. The caller holds f.mu.
func (p *FilePool) closed(f *boltFile) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked(f)
}

func (p *FilePool) forgetLocked(f *boltFile) {
	if e := p.place[f]; e != nil {
		p.open.Remove(e)
		delete(p.place, f)
	}
}
