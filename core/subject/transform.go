package subject

import (
	"fmt"
	"strings"
)

// Transform turns a subject that matches its source into another one. The
// syntax of destinations is that of the NATS documentation, "Subject Mapping
// and Partitioning". It never changes once made and is safe for concurrent use.
type Transform struct {
	src, dest string
	stars     int    // "*" tokens of the source
	tail      bool   // both end in ">"
	steps     []step // one for each token of the destination, without ">"
}

// NewTransform makes a transform. An empty source means ">". The errors say
// what is wrong with which of the two.
func NewTransform(src, dest string) (*Transform, error) {
	if src == "" {
		src = ">"
	}
	if !ValidPattern(src) {
		return nil, fmt.Errorf("transform source %q: not a valid subject", src)
	}
	t := &Transform{src: src, dest: dest}
	for token := range strings.SplitSeq(src, ".") {
		switch token {
		case "*":
			t.stars++
		case ">":
			t.tail = true
		}
	}
	if err := t.compile(); err != nil {
		return nil, fmt.Errorf("transform destination %q: %w", dest, err)
	}
	return t, nil
}

// NewImportTransform makes a transform for an import, which must be reversible:
// it uses every wildcard of the source exactly as it is and nothing else.
func NewImportTransform(src, dest string) (*Transform, error) {
	t, err := NewTransform(src, dest)
	if err != nil {
		return nil, err
	}
	used := make([]bool, t.stars)
	for _, s := range t.steps {
		switch s.fn {
		case fnText:
		case fnWildcard:
			used[s.args[0]-1] = true
		default:
			return nil, fmt.Errorf("transform destination %q: an import can only use wildcards as they are", dest)
		}
	}
	for i, u := range used {
		if !u {
			return nil, fmt.Errorf("transform destination %q: wildcard %d of the source is not used", dest, i+1)
		}
	}
	return t, nil
}

// Reverse is the transform back, for one made by NewImportTransform.
func (t *Transform) Reverse() (*Transform, error) {
	var src, dest []string
	at := make([]int, t.stars) // which wildcard of the new source is which of the old
	n := 0
	for _, s := range t.steps {
		switch s.fn {
		case fnText:
			src = append(src, s.text)
		case fnWildcard:
			n++
			if at[s.args[0]-1] == 0 {
				at[s.args[0]-1] = n
			}
			src = append(src, "*")
		default:
			return nil, fmt.Errorf("transform %q to %q cannot be reversed", t.src, t.dest)
		}
	}
	if t.tail {
		src = append(src, ">")
	}
	star := 0
	for token := range strings.SplitSeq(t.src, ".") {
		if token == "*" {
			if at[star] == 0 {
				return nil, fmt.Errorf("transform %q to %q cannot be reversed", t.src, t.dest)
			}
			token = fmt.Sprintf("{{wildcard(%d)}}", at[star])
			star++
		}
		dest = append(dest, token)
	}
	return NewTransform(strings.Join(src, "."), strings.Join(dest, "."))
}

// Source is the pattern of subjects that are transformed.
func (t *Transform) Source() string { return t.src }

// Destination is the text the transform was made from.
func (t *Transform) Destination() string { return t.dest }

// Apply transforms subject. rnd draws from 0 to n-1; it is only called for
// "random" and may be nil when the destination has none. The answer is false,
// with the message to be dropped or left alone as the caller's rules say, if
// subject does not match the source or the result is not a subject.
func (t *Transform) Apply(subject string, rnd func(n int) int) (string, bool) {
	var room [128]byte
	out, ok := appendTransform(room[:0], t, subject, rnd)
	if !ok {
		return "", false
	}
	return string(out), true
}

// Append is Apply for the hot path: it appends the result to dst.
func (t *Transform) Append(dst, subject []byte, rnd func(n int) int) ([]byte, bool) {
	return appendTransform(dst, t, subject, rnd)
}

func appendTransform[S Text](dst []byte, t *Transform, subject S, rnd func(n int) int) ([]byte, bool) {
	if !Match(t.src, subject) {
		return dst, false
	}
	start := len(dst)
	var room [16]span
	stars, tail := wildcards(t.src, subject, room[:0])
	for i := range t.steps {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = appendStep(dst, &t.steps[i], subject, stars, rnd)
	}
	if t.tail {
		if len(t.steps) > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, subject[tail:]...)
	}
	if !wellFormed(dst[start:]) {
		return dst[:start], false
	}
	return dst, true
}

// span is a part of the subject.
type span struct{ from, to int }

// wildcards finds the tokens that the "*" of src stand for, and where the part
// begins that ">" stands for. The subject matches src.
func wildcards[S Text](src string, subject S, stars []span) ([]span, int) {
	p, l := 0, 0
	for {
		pe, le := tokenEnd(src, p), tokenEnd(subject, l)
		if isTail(src, p, pe) {
			return stars, l
		}
		if isStar(src, p, pe) {
			stars = append(stars, span{l, le})
		}
		if pe == len(src) {
			return stars, le
		}
		p, l = pe+1, le+1
	}
}
