package mqtt

import (
	"sync/atomic"

	"github.com/frondmq/frond/core/monitor"
)

// A drop is why a message did not reach a client, or was not taken from it.
type drop byte

const (
	dropSlow     drop = iota // the client does not read what it asks for
	dropTooLarge             // larger than the client takes
	dropUnfit                // its subject is no topic
	dropExpired              // its time was over
	dropDenied               // the client may not hear it
	dropRefused              // it came from the client, and was not taken
	dropReasons
)

// drops counts them. Most clients have none, so there is room for none before the
// first. It is safe for concurrent use.
type drops struct {
	n atomic.Pointer[[dropReasons]atomic.Int64]
}

func (d *drops) count(why drop) {
	n := d.n.Load()
	if n == nil {
		d.n.CompareAndSwap(nil, new([dropReasons]atomic.Int64))
		n = d.n.Load()
	}
	n[why].Add(1)
}

// total is how many there were, for whatever reason.
func (d *drops) total() (sum int64) {
	if n := d.n.Load(); n != nil {
		for i := range n {
			sum += n[i].Load()
		}
	}
	return sum
}

// describe is what monitoring shows; nil for none.
func (d *drops) describe() *monitor.MQTTDrops {
	n := d.n.Load()
	if n == nil {
		return nil
	}
	return &monitor.MQTTDrops{
		Slow: n[dropSlow].Load(), TooLarge: n[dropTooLarge].Load(), Unfit: n[dropUnfit].Load(),
		Expired: n[dropExpired].Load(), Denied: n[dropDenied].Load(), Refused: n[dropRefused].Load(),
	}
}
