package journal

import "time"

// groupTime is how long a group should take to write, beyond what the
// smallest one takes. Longer ones would only add to the wait of the first
// record in them.
const groupTime = 20 * time.Millisecond

// pace follows the speed of the disk and says how large a group may be.
type pace struct {
	base  time.Duration // what a commit takes whatever its size
	bound int
	max   int
}

// learn takes the time of one commit and returns the new bound.
func (p *pace) learn(bytes int, took time.Duration) int {
	switch {
	case p.base == 0 || took < p.base:
		p.base = took
	default:
		p.base += (took - p.base) / 256 // a disk may become slower
	}
	if bytes < p.bound/2 {
		return p.bound // too small to tell anything
	}
	switch extra := took - p.base; {
	case extra > groupTime:
		p.bound = max(minGroup, p.bound-p.bound/4)
	case extra < groupTime/2:
		p.bound = min(p.max, p.bound+p.bound/4)
	}
	return p.bound
}
