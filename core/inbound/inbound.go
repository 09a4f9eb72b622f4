// Package inbound bounds the memory of messages that have come in part: what is
// collected over several reads, because it is larger than a read buffer. Such
// bytes are nobody's yet, and a peer that sends no more would keep them for good.
// It is no promise to other programs: it changes without notice.
package inbound

import (
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/frondmq/frond/core/outbound"
)

// ErrTooMuch is why a connection is ended by Owner.HeldTooMuch.
var ErrTooMuch = errors.New("memory is short, and a message that came in part takes much of it")

// Owner is the connection that a Part belongs to.
type Owner interface {
	// HeldTooMuch ends the connection for ErrTooMuch. Any goroutine may call it,
	// also the one that is in Hold; it must not wait for either, nor call Hold.
	HeldTooMuch()
}

// Parts are those of all connections. The zero value works and has no limit. It is
// safe for concurrent use.
type Parts struct {
	// Budget counts what is held. While it is more than the limit, connections are
	// ended that got nothing for a while, those first that hold most; and while it
	// is half more than that, any, those first that got nothing for longest.
	Budget outbound.Budget

	mu struct {
		sync.Mutex
		all   map[*Part]struct{}
		timer *time.Timer // while there are any
	}
}

// Part is what one connection holds. The goroutine that reads owns it.
type Part struct {
	parts *Parts
	owner Owner

	held   atomic.Int64
	rounds atomic.Uint32 // times that something came
	listed atomic.Bool
	over   atomic.Bool // the owner was told

	// Guarded by the lock of parts.
	seen  uint32 // rounds at the last sweep
	stuck int    // sweeps in a row that have found nothing new
}

const (
	sweepEvery = time.Second
	// stuckAfter is how many sweeps find nothing new before a peer is one that
	// sends no more.
	stuckAfter = 5
)

// Init is called once, before Hold.
func (p *Part) Init(parts *Parts, owner Owner) { p.parts, p.owner = parts, owner }

// Hold says how many bytes of memory hold what has come so far, each time that
// something came; 0 when it is whole, or the connection over.
func (p *Part) Hold(n int) {
	if n > 0 && p.over.Load() {
		return
	}
	p.count(int64(n))
	limit := p.parts.Budget.Limit()
	if n == 0 || limit <= 0 {
		return
	}
	p.rounds.Add(1)
	if !p.listed.Load() {
		p.parts.add(p)
	}
	if p.parts.Budget.Over() > limit/2 {
		p.parts.relieve()
	}
}

func (p *Part) count(n int64) { p.parts.Budget.Take(int(n - p.held.Swap(n))) }

// add makes p one of those that are looked after, until a sweep finds that it
// holds nothing: a message does not pay for it.
func (s *Parts) add(p *Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.listed.Store(true)
	if s.mu.all == nil {
		s.mu.all = make(map[*Part]struct{})
	}
	if _, ok := s.mu.all[p]; !ok {
		p.seen, p.stuck = p.rounds.Load(), 0
		s.mu.all[p] = struct{}{}
	}
	if s.mu.timer == nil {
		s.mu.timer = time.AfterFunc(sweepEvery, s.sweep)
	}
}

func (s *Parts) sweep() {
	s.mu.Lock()
	for p := range s.mu.all {
		p.listed.Store(false) // Hold adds it again, or has held before
		if p.held.Load() == 0 {
			delete(s.mu.all, p)
			continue
		}
		p.listed.Store(true)
		if n := p.rounds.Load(); n != p.seen {
			p.seen, p.stuck = n, 0
		} else {
			p.stuck++
		}
	}
	if len(s.mu.all) == 0 {
		s.mu.all, s.mu.timer = nil, nil // maps never shrink
	} else {
		s.mu.timer.Reset(sweepEvery)
	}
	s.mu.Unlock()
	s.relieve()
}

// relieve ends connections while more is held than may.
func (s *Parts) relieve() {
	for _, p := range s.choose() {
		p.owner.HeldTooMuch()
	}
}

// choose takes off as many as make room. They hold nothing from then on, as far as
// it is counted, so that nobody else is ended before they are gone.
func (s *Parts) choose() (chosen []*Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := s.Budget.Over()
	if over <= 0 {
		return nil
	}
	anybody := over > s.Budget.Limit()/2
	type holder struct {
		p *Part
		n int64
	}
	var most []holder
	for p := range s.mu.all {
		if n := p.held.Load(); n > 0 && (anybody || p.stuck >= stuckAfter) {
			most = append(most, holder{p, n})
		}
	}
	sort.Slice(most, func(i, j int) bool {
		if a, b := most[i].p.stuck, most[j].p.stuck; anybody && a != b {
			return a > b
		}
		return most[i].n > most[j].n
	})
	for _, h := range most {
		if over <= 0 {
			break
		}
		over -= h.n
		h.p.over.Store(true)
		h.p.count(0)
		chosen = append(chosen, h.p)
	}
	return chosen
}
