package subject

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// function is what a token of a destination does.
type function uint8

const (
	fnText function = iota
	fnWildcard
	fnPartition
	fnSplit
	fnSplitFromLeft
	fnSplitFromRight
	fnSliceFromLeft
	fnSliceFromRight
	fnLeft
	fnRight
	fnRandom
)

// functionName is the name with its capitals where they may stand: every
// capital may be written small.
func functionName(f function) string {
	return [...]string{
		fnWildcard:       "Wildcard",
		fnPartition:      "Partition",
		fnSplit:          "Split",
		fnSplitFromLeft:  "SplitFromLeft",
		fnSplitFromRight: "SplitFromRight",
		fnSliceFromLeft:  "SliceFromLeft",
		fnSliceFromRight: "SliceFromRight",
		fnLeft:           "Left",
		fnRight:          "Right",
		fnRandom:         "Random",
	}[f]
}

// step makes one token of the result.
type step struct {
	fn   function
	text string // of fnText, delimiter of fnSplit
	// args: for fnPartition the number of partitions, then wildcard numbers;
	// for fnRandom the bound; otherwise a wildcard number and maybe a length.
	args []int
}

// Errors of destinations, wrapped with the text they were found in.
var (
	ErrUnknownFunction = errors.New("unknown mapping function")
	ErrTooFewArgs      = errors.New("not enough arguments")
	ErrTooManyArgs     = errors.New("too many arguments")
	ErrBadArg          = errors.New("invalid argument")
	ErrWildcardIndex   = errors.New("wildcard index out of range")
	ErrBadDestination  = errors.New("not a valid destination subject")
)

// maxArg bounds partition counts, lengths and the bound of random.
const maxArg = 1<<31 - 1

func (t *Transform) compile() error {
	tail := false
	for token := range strings.SplitSeq(t.dest, ".") {
		switch {
		case tail || token == "" || token == "*":
			return ErrBadDestination
		case token == ">":
			tail = true
			continue
		}
		s, err := t.parseStep(token)
		if err != nil {
			return err
		}
		t.steps = append(t.steps, s)
	}
	if tail != t.tail {
		return fmt.Errorf("%w: source and destination must both end in \">\" or neither", ErrBadDestination)
	}
	return nil
}

func (t *Transform) parseStep(token string) (step, error) {
	if n, ok := dollar(token); ok {
		return t.checked(step{fn: fnWildcard, args: []int{n}}, token)
	}
	if !strings.HasPrefix(token, "{{") || !strings.HasSuffix(token, "}}") || len(token) < 4 {
		if hasSpace(token) {
			return step{}, ErrBadDestination
		}
		return step{fn: fnText, text: token}, nil
	}
	call := strings.TrimSpace(token[2 : len(token)-2])
	name, args, ok := strings.Cut(call, "(")
	if !ok || !strings.HasSuffix(args, ")") {
		return step{}, fmt.Errorf("%w: %s", ErrUnknownFunction, token)
	}
	fn, ok := findFunction(strings.TrimSpace(name))
	if !ok {
		return step{}, fmt.Errorf("%w: %s", ErrUnknownFunction, token)
	}
	s, err := parseArgs(fn, strings.Split(args[:len(args)-1], ","))
	if err != nil {
		return step{}, fmt.Errorf("%w: %s", err, token)
	}
	return t.checked(s, token)
}

// dollar reads the short form of wildcard(n). "$0" and "$x" are plain text.
func dollar(token string) (n int, ok bool) {
	if len(token) < 2 || token[0] != '$' {
		return 0, false
	}
	n, ok = parseArg(token[1:])
	return n, ok && n > 0
}

func findFunction(name string) (function, bool) {
	for f := fnWildcard; f <= fnRandom; f++ {
		if sameName(name, functionName(f)) {
			return f, true
		}
	}
	return 0, false
}

// sameName compares with a name whose capitals may be small.
func sameName(name, canonical string) bool {
	if len(name) != len(canonical) {
		return false
	}
	for i := range len(name) {
		c := canonical[i]
		small := c
		if c >= 'A' && c <= 'Z' {
			small = c + 'a' - 'A'
		}
		if name[i] != c && name[i] != small {
			return false
		}
	}
	return true
}

func parseArgs(fn function, args []string) (step, error) {
	for i := range args {
		args[i] = strings.TrimSpace(args[i])
	}
	want, most := 1, 1
	switch fn {
	case fnSplit, fnSplitFromLeft, fnSplitFromRight, fnSliceFromLeft, fnSliceFromRight, fnLeft, fnRight:
		want, most = 2, 2
	case fnPartition:
		most = len(args)
	}
	switch {
	case len(args) < want || len(args) == 1 && args[0] == "":
		return step{}, ErrTooFewArgs
	case len(args) > most:
		return step{}, ErrTooManyArgs
	}
	s := step{fn: fn}
	if fn == fnSplit {
		if s.text = args[1]; s.text == "" || hasSpace(s.text) {
			return step{}, ErrBadArg
		}
		args = args[:1]
	}
	for _, a := range args {
		n, ok := parseArg(a)
		if !ok {
			return step{}, ErrBadArg
		}
		s.args = append(s.args, n)
	}
	return s, nil
}

func parseArg(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n > maxArg || n < -maxArg {
		return 0, false
	}
	return n, true
}

// checked looks at what a step refers to.
func (t *Transform) checked(s step, token string) (step, error) {
	refs := s.args[:1]
	switch s.fn {
	case fnRandom:
		refs = nil
	case fnPartition:
		refs = s.args[1:]
	}
	for _, n := range refs {
		if n < 1 || n > t.stars {
			return step{}, fmt.Errorf("%w: %s", ErrWildcardIndex, token)
		}
	}
	return s, nil
}

// appendStep writes what the step makes of the subject.
func appendStep[S Text](dst []byte, s *step, subject S, stars []span, rnd func(n int) int) []byte {
	switch s.fn {
	case fnText:
		return append(dst, s.text...)
	case fnPartition:
		return strconv.AppendUint(dst, uint64(partition(s, subject, stars)), 10)
	case fnRandom:
		n := 0
		if s.args[0] > 0 && rnd != nil {
			n = rnd(s.args[0])
		}
		return strconv.AppendInt(dst, int64(n), 10)
	}
	w := stars[s.args[0]-1]
	token := subject[w.from:w.to]
	if s.fn == fnWildcard {
		return append(dst, token...)
	}
	if s.fn == fnSplit {
		return appendSplit(dst, token, s.text)
	}
	k := s.args[1]
	if k <= 0 || k >= len(token) {
		return append(dst, token...)
	}
	switch s.fn {
	case fnLeft:
		return append(dst, token[:k]...)
	case fnRight:
		return append(dst, token[len(token)-k:]...)
	case fnSplitFromLeft:
		return appendCuts(dst, token, k, len(token))
	case fnSplitFromRight:
		return appendCuts(dst, token, len(token)-k, len(token))
	case fnSliceFromLeft:
		return appendCuts(dst, token, k, k)
	default: // fnSliceFromRight
		first := len(token) % k
		if first == 0 {
			first = k
		}
		return appendCuts(dst, token, first, k)
	}
}

// appendCuts writes token with a dot behind the first bytes and behind every
// further size bytes.
func appendCuts[S Text](dst []byte, token S, first, size int) []byte {
	dst = append(dst, token[:first]...)
	for from := first; from < len(token); from += size {
		dst = append(dst, '.')
		dst = append(dst, token[from:min(from+size, len(token))]...)
	}
	return dst
}

// appendSplit writes the non-empty parts of token between delimiters.
func appendSplit[S Text](dst []byte, token S, delimiter string) []byte {
	first := true
	for from := 0; from < len(token); {
		to := from
		for to < len(token) && !hasPrefixAt(token, to, delimiter) {
			to++
		}
		if to > from {
			if !first {
				dst = append(dst, '.')
			}
			first = false
			dst = append(dst, token[from:to]...)
		}
		from = to + len(delimiter)
	}
	return dst
}

func hasPrefixAt[S Text](s S, at int, prefix string) bool {
	return len(s)-at >= len(prefix) && string(s[at:at+len(prefix)]) == prefix
}

// partition hashes the chosen wildcard tokens, or the whole subject if none is
// chosen, with 32-bit FNV-1a. The numbers must stay what they are: data is
// stored by them.
func partition[S Text](s *step, subject S, stars []span) uint32 {
	if s.args[0] <= 0 {
		return 0
	}
	h := uint32(2166136261)
	if len(s.args) == 1 {
		h = fnv1a(h, subject)
	}
	for _, n := range s.args[1:] {
		w := stars[n-1]
		h = fnv1a(h, subject[w.from:w.to])
	}
	return h % uint32(s.args[0])
}

func fnv1a[S Text](h uint32, s S) uint32 {
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
