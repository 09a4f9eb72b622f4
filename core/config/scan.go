package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner walks over one text and knows line and column.
type scanner struct {
	file      string
	text      string
	pos       int
	line      int // from 1
	lineStart int
}

func (s *scanner) eof() bool { return s.pos >= len(s.text) }

// peek returns the byte at the position, 0 at the end. Text holds no NUL:
// newParser refuses it.
func (s *scanner) peek() byte { return s.at(0) }

func (s *scanner) at(n int) byte {
	if s.pos+n >= len(s.text) {
		return 0
	}
	return s.text[s.pos+n]
}

func (s *scanner) next() {
	if s.text[s.pos] == '\n' {
		s.line++
		s.lineStart = s.pos + 1
	}
	s.pos++
}

func (s *scanner) here() Position {
	return Position{File: s.file, Line: s.line, Col: s.pos - s.lineStart + 1}
}

// fail is a grammar error at the present position.
func (s *scanner) fail(format string, args ...any) error {
	return &Error{Pos: s.here(), Reason: fmt.Sprintf("Parse error on line %d: '%s'", s.line, fmt.Sprintf(format, args...))}
}

// got names the character at the position in messages.
func (s *scanner) got() string {
	if s.eof() {
		return "EOF"
	}
	r, n := utf8.DecodeRuneInString(s.text[s.pos:])
	switch {
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r == utf8.RuneError && n == 1:
		return fmt.Sprintf(`\x%02x`, s.text[s.pos])
	}
	return string(r)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// endsWord reports whether c ends a bare value.
func endsWord(c byte) bool {
	return c == 0 || isBlank(c) || c == '\n' || c == ',' || c == ';' || c == ']' || c == '}'
}

// blanks skips white space within the line.
func (s *scanner) blanks() {
	for !s.eof() && isBlank(s.peek()) {
		s.pos++
	}
}

// lines skips white space and newlines, but not comments: between a key and
// its value a '#' is already the value.
func (s *scanner) lines() {
	for !s.eof() && (isBlank(s.peek()) || s.peek() == '\n') {
		s.next()
	}
}

func (s *scanner) atComment() bool {
	return s.peek() == '#' || s.peek() == '/' && s.at(1) == '/'
}

// gap skips white space, newlines and comments.
func (s *scanner) gap() {
	for s.lines(); s.atComment(); s.lines() {
		s.comment()
	}
}

// comment skips to the end of the line and leaves the newline.
func (s *scanner) comment() {
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.text)
	}
}

// bareKey reads a key up to white space or a separator; in a map '}' ends it
// too.
func (s *scanner) bareKey(inMap bool) string {
	start := s.pos
	for !s.eof() {
		c := s.peek()
		if c == ':' || c == '=' || inMap && c == '}' {
			break
		}
		if c < utf8.RuneSelf {
			if unicode.IsSpace(rune(c)) {
				break
			}
			s.pos++
			continue
		}
		r, n := utf8.DecodeRuneInString(s.text[s.pos:])
		if unicode.IsSpace(r) {
			break
		}
		s.pos += n
	}
	return s.text[start:s.pos]
}

// raw reads what stands between two equal quotes, as it is.
func (s *scanner) raw(where string) (string, error) {
	quote := s.peek()
	s.pos++
	start := s.pos
	for !s.eof() {
		if s.peek() == quote {
			out := s.text[start:s.pos]
			s.pos++
			return out, nil
		}
		s.next()
	}
	return "", s.fail("Unexpected EOF%s.", where)
}

// quoted reads a double-quoted string with its escapes.
func (s *scanner) quoted() (string, error) {
	s.pos++
	var b strings.Builder
	for !s.eof() {
		switch c := s.peek(); c {
		case '"':
			s.pos++
			return b.String(), nil
		case '\\':
			if err := s.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			s.next()
		}
	}
	return "", s.fail("Unexpected EOF.")
}

// word reads a bare value; escapes work there too, and functions.
func (s *scanner) word() (string, error) {
	start := s.pos
	for !endsWord(s.peek()) && s.peek() != '\\' {
		s.pos += max(s.function(), 1)
	}
	if s.peek() != '\\' {
		return s.text[start:s.pos], nil
	}
	var b strings.Builder
	b.WriteString(s.text[start:s.pos])
	for !endsWord(s.peek()) {
		if s.peek() == '\\' {
			if err := s.escape(&b); err != nil {
				return "", err
			}
			continue
		}
		n := max(s.function(), 1)
		b.WriteString(s.text[s.pos : s.pos+n])
		s.pos += n
	}
	return b.String(), nil
}

// function is the length of a "{{...}}" that begins here, 0 if none does: the braces
// of a subject mapping's function end no map, and no word.
func (s *scanner) function() int {
	if s.peek() != '{' || s.at(1) != '{' {
		return 0
	}
	line, _, _ := strings.Cut(s.text[s.pos:], "\n")
	if n := strings.Index(line, "}}"); n > 0 {
		return n + len("}}")
	}
	return 0
}

func (s *scanner) escape(b *strings.Builder) error {
	s.pos++
	switch s.peek() {
	case 't':
		b.WriteByte('\t')
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case '"':
		b.WriteByte('"')
	case '\\':
		b.WriteByte('\\')
	case 'x':
		hi, ok1 := unhex(s.at(1))
		lo, ok2 := unhex(s.at(2))
		if !ok1 || !ok2 {
			end := min(s.pos+3, len(s.text))
			return s.fail(`Expected two hexadecimal digits after '\x', but got '%s'`, s.text[min(s.pos+1, end):end])
		}
		b.WriteByte(hi<<4 | lo)
		s.pos += 2
	default:
		return s.fail(`Invalid escape character '%s'. Only the following escape characters are allowed: \xXX, \t, \n, \r, \", \\.`, s.got())
	}
	s.pos++
	return nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// block reads "( ... )": everything up to a line that is only ")". It keeps
// the newlines on both sides. Where ")" is the last byte of the file it is
// text, as nats-server has it: the digest depends on it.
func (s *scanner) block() (string, error) {
	s.pos++
	start := s.pos
	for !s.eof() {
		if s.peek() == ')' && s.text[s.pos-1] == '\n' {
			rest := s.text[s.pos+1:]
			switch {
			case rest == "":
				s.pos++
				return s.text[start:s.pos], nil
			case rest[0] == '\n' || strings.HasPrefix(rest, "\r\n"):
				out := s.text[start:s.pos]
				s.pos++
				return out, nil
			}
		}
		s.next()
	}
	return "", s.fail("Unexpected EOF processing block.")
}
