package jetstream

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// captures are the subjects that the streams of an account capture, in the order
// of their bytes: what collides with a pattern is found without a look at the
// others. All that begins with the same tokens stands side by side in that
// order, so it is searched like a tree of tokens, and takes a tenth of the
// memory of one.
type captures struct {
	blocks [][]capture // none is empty
}

type capture struct{ subject, stream string }

// captureBlock bounds a block, and with it what a change moves.
const captureBlock = 512

func (c capture) compare(d capture) int {
	return cmp.Or(strings.Compare(c.subject, d.subject), strings.Compare(c.stream, d.stream))
}

// seek is the place of x, or of the first one behind it.
func (c *captures) seek(x capture) (block, i int) {
	block = sort.Search(len(c.blocks), func(n int) bool {
		b := c.blocks[n]
		return b[len(b)-1].compare(x) >= 0
	})
	if block < len(c.blocks) {
		i, _ = slices.BinarySearchFunc(c.blocks[block], x, capture.compare)
	}
	return block, i
}

// add notes that a stream captures a subject; the same may be noted twice.
func (c *captures) add(x capture) {
	block, i := c.seek(x)
	if block == len(c.blocks) {
		if block == 0 {
			c.blocks = append(c.blocks, nil)
			block++
		}
		block--
		i = len(c.blocks[block])
	}
	b := slices.Insert(c.blocks[block], i, x)
	if len(b) > captureBlock {
		half := len(b) / 2
		c.blocks = slices.Insert(c.blocks, block+1, slices.Clone(b[half:]))
		clear(b[half:])
		b = b[:half]
	}
	c.blocks[block] = b
}

// remove takes back one add.
func (c *captures) remove(x capture) {
	block, i := c.seek(x)
	if block == len(c.blocks) || c.blocks[block][i] != x {
		return
	}
	c.blocks[block] = slices.Delete(c.blocks[block], i, i+1)
	if len(c.blocks[block]) == 0 {
		c.blocks = slices.Delete(c.blocks, block, block+1)
	}
}

// from calls f with what begins with prefix, as far as it is not before from,
// until f says where to go on: "" is nowhere.
func (c *captures) from(prefix, from string, f func(x capture) (next string)) {
	for {
		block, i := c.seek(capture{subject: from})
		if block == len(c.blocks) {
			return
		}
		x := c.blocks[block][i]
		if !strings.HasPrefix(x.subject, prefix) {
			return
		}
		if from = f(x); from == "" {
			return
		}
	}
}

// collides reports whether a stream other than except captures a subject that
// matches pattern too.
func (c *captures) collides(pattern, except string) bool {
	return c.below("", pattern, except)
}

// below is collides for the subjects that begin with prefix, whole tokens that
// match as much of the pattern already; rest is what of it is left.
func (c *captures) below(prefix, rest, except string) bool {
	if c.exactly(prefix+">", except) {
		return true
	}
	token, behind, more := strings.Cut(rest, ".")
	switch {
	case token == ">" && !more:
		return c.any(prefix, except)
	case token == "*":
		return c.children(prefix, behind, more, except)
	}
	for _, child := range []string{"*", token} {
		if more && c.below(prefix+child+".", behind, except) || !more && c.exactly(prefix+child, except) {
			return true
		}
	}
	return false
}

// children is below for each token that stands behind prefix somewhere.
func (c *captures) children(prefix, rest string, more bool, except string) (found bool) {
	c.from(prefix, prefix, func(x capture) string {
		token, _, deeper := strings.Cut(x.subject[len(prefix):], ".")
		child := prefix + token
		switch {
		case deeper:
			// '/' is what follows '.': the next one that is not below this child.
			child += "."
			found = more && c.below(child, rest, except)
			child = child[:len(child)-1] + "/"
		default:
			found = !more && c.exactly(child, except)
			child += "\x00"
		}
		if found {
			return ""
		}
		return child
	})
	return found
}

// exactly reports whether another stream has just this subject.
func (c *captures) exactly(subject, except string) (found bool) {
	block, i := c.seek(capture{subject: subject})
	for ; block < len(c.blocks); block, i = block+1, 0 {
		for _, x := range c.blocks[block][i:] {
			if x.subject != subject {
				return false
			}
			if x.stream != except {
				return true
			}
		}
	}
	return false
}

// any reports whether another stream has a subject that begins with prefix.
func (c *captures) any(prefix, except string) (found bool) {
	c.from(prefix, prefix, func(x capture) string {
		if x.stream != except || c.exactly(x.subject, except) {
			found = true
			return ""
		}
		return x.subject + "\x00"
	})
	return found
}
