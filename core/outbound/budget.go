package outbound

import "sync/atomic"

// Budget bounds what waits to be written to all clients together, where one
// limit for each would be too much for a small machine or too little for one
// client. A limit of 0 is none.
type Budget struct {
	limit atomic.Int64
	held  atomic.Int64
}

const (
	// fairShare is what a client may have waiting while the budget is spent;
	// much less when far more than the budget is. So those pay that do not
	// read, and not those who happen to be sent something.
	fairShare  = 256 << 10
	smallShare = 16 << 10
)

// SetLimit may be called at any time.
func (b *Budget) SetLimit(n int64) { b.limit.Store(n) }

// Limit is what may wait in all at this moment, 0 for any amount.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Take counts memory that begins to hold something for a client.
func (b *Budget) Take(n int) { b.held.Add(int64(n)) }

// Give counts memory that no longer does.
func (b *Budget) Give(n int) { b.held.Add(-int64(n)) }

// Full reports whether a client with so many bytes waiting may get no more.
func (b *Budget) Full(waiting int64) bool {
	held, limit := b.held.Load(), b.limit.Load()
	switch {
	case limit <= 0 || held <= limit:
		return false
	case held <= limit+limit/2:
		return waiting > fairShare
	}
	return waiting > smallShare
}

// Over is how much more is held than may wait, 0 or less for nothing.
func (b *Budget) Over() int64 {
	limit := b.limit.Load()
	if limit <= 0 {
		return 0
	}
	return b.held.Load() - limit
}

// tight reports whether memory is to be saved.
func (b *Budget) tight() bool {
	limit := b.limit.Load()
	return limit > 0 && b.held.Load() > limit/2
}

// Held is how much memory holds what waits.
func (b *Budget) Held() int64 { return b.held.Load() }
