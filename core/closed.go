package core

import "github.com/frondmq/frond/core/monitor"

// closedRing remembers the newest connections that are gone.
type closedRing struct {
	limit int
	ring  []*monitor.ConnInfo
	next  int // where the next goes once the ring is full
}

func (r *closedRing) add(c *monitor.ConnInfo) {
	switch {
	case r.limit <= 0:
	case len(r.ring) < r.limit:
		r.ring = append(r.ring, c)
	default:
		r.ring[r.next] = c
		r.next = (r.next + 1) % len(r.ring)
	}
}

// all are the remembered connections, oldest first. They are shared and must
// not be changed.
func (r *closedRing) all() []*monitor.ConnInfo {
	all := make([]*monitor.ConnInfo, 0, len(r.ring))
	all = append(all, r.ring[r.next:]...)
	return append(all, r.ring[:r.next]...)
}
