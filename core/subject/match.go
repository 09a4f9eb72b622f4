package subject

// tokenEnd is the index behind the token of s that begins at i.
func tokenEnd[S Text](s S, i int) int {
	for i < len(s) && s[i] != '.' {
		i++
	}
	return i
}

// Match reports whether a message published to literal reaches a subscription
// on pattern. The pattern must be Valid. In literal, "*" and ">" mean only
// themselves; a literal with an empty token matches nothing.
func Match[P, L Text](pattern P, literal L) bool {
	p, l := 0, 0
	for {
		if l >= len(literal) || literal[l] == '.' {
			return false
		}
		if p < len(pattern) && pattern[p] == '>' && p+1 == len(pattern) {
			return wellFormed(literal[l:])
		}
		if p < len(pattern) && pattern[p] == '*' && (p+1 == len(pattern) || pattern[p+1] == '.') {
			p++
			l = tokenEnd(literal, l)
		} else {
			for l < len(literal) && literal[l] != '.' {
				if p == len(pattern) || pattern[p] != literal[l] {
					return false
				}
				p++
				l++
			}
		}
		// Both stand behind a token, or the pattern's token is longer.
		if p == len(pattern) || l == len(literal) {
			return p == len(pattern) && l == len(literal)
		}
		if pattern[p] != '.' {
			return false
		}
		p++
		l++
	}
}

// Covers reports whether every subject that matches narrow also matches wide.
// Both must be Valid patterns.
func Covers[W, N Text](wide W, narrow N) bool {
	w, n := 0, 0
	for w <= len(wide) && n <= len(narrow) {
		we, ne := tokenEnd(wide, w), tokenEnd(narrow, n)
		switch {
		case isTail(wide, w, we):
			return true
		case isTail(narrow, n, ne):
			return false
		case isStar(wide, w, we):
		case isStar(narrow, n, ne):
			return false
		case string(wide[w:we]) != string(narrow[n:ne]):
			return false
		}
		w, n = we+1, ne+1
	}
	return w > len(wide) && n > len(narrow)
}

// Collide reports whether some literal subject matches both patterns. Both
// must be Valid.
func Collide[A, B Text](a A, b B) bool {
	i, j := 0, 0
	for i <= len(a) && j <= len(b) {
		ie, je := tokenEnd(a, i), tokenEnd(b, j)
		switch {
		case isTail(a, i, ie), isTail(b, j, je):
			return true
		case isStar(a, i, ie), isStar(b, j, je):
		case string(a[i:ie]) != string(b[j:je]):
			return false
		}
		i, j = ie+1, je+1
	}
	return i > len(a) && j > len(b)
}

func isStar[S Text](s S, from, to int) bool { return to-from == 1 && s[from] == '*' }

func isTail[S Text](s S, from, to int) bool {
	return to-from == 1 && s[from] == '>' && to == len(s)
}
