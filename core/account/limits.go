package account

import "sync/atomic"

// Limits bound what an account may have; 0 does not.
type Limits struct {
	Clients, Links int // connections
	Subs           int // of each connection
	Payload        int // bytes of a message
}

// present is who is in an account.
type present struct {
	limits         atomic.Pointer[Limits]
	clients, links atomic.Int64
}

var noLimits Limits

// SetLimits changes what the account may have. Whoever is there stays.
func (a *Account) SetLimits(l Limits) { a.present.limits.Store(&l) }

// Limits are those of now. Nobody may change them.
func (a *Account) Limits() *Limits {
	if l := a.present.limits.Load(); l != nil {
		return l
	}
	return &noLimits
}

// Enter counts one more client, or link, if there is room for it. Whoever was let in
// ends with Leave.
func (a *Account) Enter(link bool) bool {
	n, limit := &a.present.clients, a.Limits().Clients
	if link {
		n, limit = &a.present.links, a.Limits().Links
	}
	if n.Add(1) > int64(limit) && limit > 0 {
		n.Add(-1)
		return false
	}
	return true
}

// Join counts a link that this server has dialed, which no limit refuses.
func (a *Account) Join() { a.present.links.Add(1) }

// Leave makes room for another one.
func (a *Account) Leave(link bool) {
	if link {
		a.present.links.Add(-1)
		return
	}
	a.present.clients.Add(-1)
}

// Present is how many clients and links have entered and not left.
func (a *Account) Present() (clients, links int) {
	return int(a.present.clients.Load()), int(a.present.links.Load())
}

// Lower is the lower one of two limits, of which 0 is none.
func Lower(a, b int) int {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}
