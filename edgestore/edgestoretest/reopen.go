package edgestoretest

import (
	"testing"

	"github.com/frondmq/frond/edgestore"
)

// Reopening is a store that is sealed, flushed, closed and opened again after
// every mutation.
type Reopening struct {
	edgestore.Store
	t    testing.TB
	open func() (edgestore.Store, error)
	lsn  edgestore.LSN
}

// NewReopening wraps s; open opens the same files again.
func NewReopening(t testing.TB, s edgestore.Store, open func() (edgestore.Store, error)) *Reopening {
	return &Reopening{Store: s, t: t, open: open}
}

func (r *Reopening) again() {
	r.t.Helper()
	r.lsn++
	r.Store.Seal(r.lsn, edgestore.Chain{}, nil)
	if err := r.Store.Flush(); err != nil {
		r.t.Fatalf("flush: %v", err)
	}
	if err := r.Store.Close(); err != nil {
		r.t.Fatalf("close: %v", err)
	}
	s, err := r.open()
	if err != nil {
		r.t.Fatalf("open again: %v", err)
	}
	if s.Applied() != r.lsn {
		r.t.Fatalf("applied %d after the flush of %d", s.Applied(), r.lsn)
	}
	r.Store = s
}

func (r *Reopening) Append(m *edgestore.Msg, at edgestore.Location) error {
	if err := r.Store.Append(m, at); err != nil {
		return err
	}
	r.again()
	return nil
}

func (r *Reopening) Skip(last uint64, at int64) {
	r.Store.Skip(last, at)
	r.again()
}

func (r *Reopening) Remove(seq uint64) (uint64, bool, error) {
	size, ok, err := r.Store.Remove(seq)
	r.again()
	return size, ok, err
}

func (r *Reopening) Drop(list []edgestore.Removal) uint64 {
	n := r.Store.Drop(list)
	r.again()
	return n
}

func (r *Reopening) Compact(seq uint64) (uint64, error) {
	n, err := r.Store.Compact(seq)
	r.again()
	return n, err
}

func (r *Reopening) Purge(filter string, seq, keep uint64) (uint64, error) {
	n, err := r.Store.Purge(filter, seq, keep)
	r.again()
	return n, err
}

func (r *Reopening) Lose(first, last uint64) (uint64, error) {
	n, err := r.Store.Lose(first, last)
	r.again()
	return n, err
}

// Seal keeps r's own count.
func (r *Reopening) Seal(applied edgestore.LSN, chain edgestore.Chain, aux []edgestore.Aux) {
	r.lsn = max(r.lsn, applied)
	r.Store.Seal(r.lsn, chain, aux)
}
