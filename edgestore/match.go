package edgestore

import "strings"

// matchSubject tells whether a literal subject matches a pattern: '*' stands
// for one token, a last '>' for one or more.
func matchSubject(pattern, subject string) bool {
	for {
		p, prest, pmore := cutToken(pattern)
		if p == ">" && !pmore {
			return true
		}
		s, srest, smore := cutToken(subject)
		if p != "*" && p != s {
			return false
		}
		if pmore != smore {
			return false
		}
		if !pmore {
			return true
		}
		pattern, subject = prest, srest
	}
}

func cutToken(s string) (token, rest string, more bool) {
	if i := strings.IndexByte(s, '.'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// hasWildcard tells whether any token of s is a wildcard.
func hasWildcard(s string) bool {
	for {
		t, rest, more := cutToken(s)
		if t == "*" || (t == ">" && !more) {
			return true
		}
		if !more {
			return false
		}
		s = rest
	}
}

// literalPrefix is the part of a pattern before its first wildcard token.
func literalPrefix(pattern string) string {
	n, s := 0, pattern
	for {
		t, rest, more := cutToken(s)
		if t == "*" || (t == ">" && !more) {
			return pattern[:n]
		}
		if !more {
			return pattern
		}
		n += len(t) + 1
		s = rest
	}
}

// matcher is a set of filters made ready for asking many subjects. A nil or
// empty set of filters matches everything.
type matcher struct {
	filters []string
	all     bool
	literal string // the only filter, when it has no wildcard
	hot     bool   // what is not in memory is ErrCold
	hash    uint64 // of literal
}

func newMatcher(filters []string) matcher {
	m := matcher{filters: filters, all: len(filters) == 0}
	for _, f := range filters {
		if f == "" || f == ">" {
			m.all = true
		}
	}
	if !m.all && len(filters) == 1 && !hasWildcard(filters[0]) {
		m.literal = filters[0]
		m.hash = hashSubject(m.literal)
	}
	return m
}

func (m *matcher) match(subject string) bool {
	if m.all {
		return true
	}
	if m.literal != "" {
		return m.literal == subject
	}
	for _, f := range m.filters {
		if matchSubject(f, subject) {
			return true
		}
	}
	return false
}

// hashSubject is FNV-1a with a final mix; it lives in memory only.
func hashSubject(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9E3779B97F4A7C15
	return h ^ h>>29
}
