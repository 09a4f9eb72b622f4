package wire

import "bytes"

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// hasVerb reports whether buf begins with the verb in any case, or is shorter
// and could.
func hasVerb(buf []byte, upper string) bool {
	n := min(len(buf), len(upper))
	for i := range n {
		c := buf[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// chopCR takes the line end's CR off. The stock server's rule is odd: once a
// CR was seen anywhere in the arguments, the last byte is dropped.
func chopCR(args []byte) []byte {
	if n := len(args); n > 0 && (args[n-1] == '\r' || bytes.IndexByte(args, '\r') >= 0) {
		return args[:n-1]
	}
	return args
}

// split cuts args at runs of blanks into at most len(tokens) tokens and
// returns how many there are; more than fit count as len(tokens)+1.
func split(args []byte, tokens [][]byte) int {
	n := 0
	for i := 0; ; {
		for i < len(args) && isBlank(args[i]) {
			i++
		}
		if i == len(args) {
			return n
		}
		from := i
		for i < len(args) && !isBlank(args[i]) {
			i++
		}
		if n == len(tokens) {
			return n + 1
		}
		tokens[n] = args[from:i:i]
		n++
	}
}

// maxDigits bounds sizes.
const maxDigits = 9

// parseSize reads a decimal number of one to nine digits, or returns -1.
func parseSize(text []byte) int {
	if len(text) == 0 || len(text) > maxDigits {
		return -1
	}
	n := 0
	for _, c := range text {
		if c -= '0'; c > 9 {
			return -1
		}
		n = n*10 + int(c)
	}
	return n
}

// unquote takes the single quotes off an error text.
func unquote(text []byte) []byte {
	text = bytes.TrimRight(text, " \t")
	if n := len(text); n >= 2 && text[0] == '\'' && text[n-1] == '\'' {
		return text[1 : n-1]
	}
	return text
}
