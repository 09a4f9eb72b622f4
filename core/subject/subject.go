package subject

import "strings"

// Text is what subjects are kept in: strings where they live long, byte slices
// where they are borrowed from a read buffer.
type Text interface{ ~string | ~[]byte }

// Valid reports whether s can be subscribed to: no empty token, and ">" only as
// the whole last token. "a*b" and ">>" are ordinary tokens. Any byte may stand
// in a token; what a control line cannot carry (blanks, CR, LF) never gets here
// from a peer.
func Valid[S Text](s S) bool {
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			continue
		}
		switch {
		case i == start:
			return false
		case i-start == 1 && s[start] == '>' && i < len(s):
			return false
		}
		start = i + 1
	}
	return true
}

// ValidPattern is Valid for subjects that are written by people, in
// configuration files and in stream definitions: no blank, tab, CR, LF or FF
// either.
func ValidPattern[S Text](s S) bool {
	return Valid(s) && !hasSpace(s)
}

// ValidLiteral reports whether s names exactly one subject: valid, without
// wildcard tokens, without blank, tab, CR, LF or FF.
func ValidLiteral[S Text](s S) bool {
	return ValidPattern(s) && IsLiteral(s)
}

// IsLiteral reports whether no token of s is exactly "*" or ">".
func IsLiteral[S Text](s S) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '*' && c != '>' {
			continue
		}
		if (i == 0 || s[i-1] == '.') && (i+1 == len(s) || s[i+1] == '.') {
			return false
		}
	}
	return true
}

// Tokens is the number of tokens of s.
func Tokens[S Text](s S) int {
	n := 1
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			n++
		}
	}
	return n
}

func hasSpace[S Text](s S) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\r', '\n', '\f':
			return true
		}
	}
	return false
}

// wellFormed reports whether s has no empty token. A published subject that is
// not well-formed matches nothing, not even ">".
func wellFormed[S Text](s S) bool {
	if len(s) == 0 || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '.' && s[i-1] == '.' {
			return false
		}
	}
	return true
}

// splitQueue takes a permission entry apart: "subject" or "subject queue".
func splitQueue(entry string) (subj, queue string) {
	subj, queue, _ = strings.Cut(strings.TrimSpace(entry), " ")
	return subj, strings.TrimSpace(queue)
}
