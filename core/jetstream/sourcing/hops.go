package sourcing

import (
	"strconv"

	"github.com/frondmq/frond/core/wire"
)

// A loop that no single server sees, such as two streams of two domains that
// source each other, is ended by a count in the message itself: how often a
// stream took it over from another one. It is written where a source stores a
// message that came by a source before, and where a stream captures what a
// consumer delivers or another stream republishes. Mirrors store what their
// origin has. Stock servers carry the header along.

const (
	HdrHops = "Frond-Hops"
	// MaxHops is how often a message is taken over.
	MaxHops = 16
)

// Hops is how often a message was taken over already.
func Hops(header []byte) int {
	if len(header) == 0 {
		return 0
	}
	if v := wire.HeaderGet(header, HdrHops); v != nil {
		n, err := strconv.Atoi(string(v))
		if err != nil || n < 0 || n > MaxHops {
			return MaxHops // what can't be read must not run for ever
		}
		return n
	}
	if wire.HeaderGet(header, HdrSource) != nil {
		return 1 // the first time costs no header of its own
	}
	return 0
}
