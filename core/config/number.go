package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// number reads what begins with a digit or '-': an integer, perhaps with a
// size suffix, a float, a date, or a string that only looks like one, such as
// an address or "30s".
func (s *scanner) number() (*Value, error) {
	pos, start := s.here(), s.pos
	neg := s.peek() == '-'
	if neg {
		s.pos++
		if !isDigit(s.peek()) {
			return nil, s.fail("Expected a digit but got '%s'.", s.got())
		}
	}
	s.digits()
	switch c := s.peek(); {
	case endsWord(c):
		return s.integer(pos, s.text[start:s.pos], 1)
	case c == '.':
		return s.float(pos, start)
	case c == '-' && !neg:
		return s.date(pos, start)
	}
	if mult, n := sizeSuffix(s.text[s.pos:]); n > 0 {
		digits := s.text[start:s.pos]
		s.pos += n
		return s.integer(pos, digits, mult)
	}
	if neg {
		// Not a number and not a string either: the caller finds the
		// character that does not belong here.
		return s.integer(pos, s.text[start:s.pos], 1)
	}
	return s.numericWord(pos, start)
}

func (s *scanner) digits() {
	for isDigit(s.peek()) {
		s.pos++
	}
}

// numericWord reads a string from start that began like a number.
func (s *scanner) numericWord(pos Position, start int) (*Value, error) {
	s.pos = start
	w, err := s.word()
	if err != nil {
		return nil, err
	}
	return &Value{Kind: KindString, Str: w, Pos: pos, nodes: 1}, nil
}

func (s *scanner) integer(pos Position, digits string, mult int64) (*Value, error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || mult > 1 && (n > math.MaxInt64/mult || n < math.MinInt64/mult) {
		return nil, &Error{Pos: pos, Reason: "integer '" + digits + "' is out of the range"}
	}
	return &Value{Kind: KindInt, Int: n * mult, Pos: pos, nodes: 1}, nil
}

func (s *scanner) float(pos Position, start int) (*Value, error) {
	s.pos++
	if !isDigit(s.peek()) {
		return nil, s.fail("Floats must have a digit after the '.', but got '%s' instead.", s.got())
	}
	s.digits()
	if s.peek() == '.' {
		return s.numericWord(pos, start) // 127.0.0.1:4222
	}
	f, err := strconv.ParseFloat(s.text[start:s.pos], 64)
	if err != nil {
		return nil, &Error{Pos: pos, Reason: "float '" + s.text[start:s.pos] + "' is out of the range"}
	}
	return &Value{Kind: KindFloat, Float: f, Pos: pos, nodes: 1}, nil
}

// dateForm is the only form of a date; 0 stands for a digit.
const dateForm = "0000-00-00T00:00:00Z"

func (s *scanner) date(pos Position, start int) (*Value, error) {
	if s.pos-start != 4 {
		return nil, s.fail("All ISO8601 dates must be in full Zulu form.")
	}
	for i := 4; i < len(dateForm); i++ {
		want := dateForm[i]
		if c := s.peek(); c == want || want == '0' && isDigit(c) {
			s.pos++
			continue
		}
		if want == '0' {
			return nil, s.fail("Expected digit in ISO8601 datetime, but found '%s' instead.", s.got())
		}
		return nil, s.fail("Expected '%c' in ISO8601 datetime, but found '%s' instead.", want, s.got())
	}
	text := s.text[start:s.pos]
	t, err := time.Parse("2006-01-02T15:04:05Z", text)
	if err != nil {
		return nil, &Error{Pos: pos, Reason: "expected Zulu formatted DateTime, but got '" + text + "'"}
	}
	return &Value{Kind: KindTime, Time: t, Pos: pos, nodes: 1}, nil
}

// sizeSuffix reads a suffix that is the rest of a word: "k" is a thousand,
// "kb", "ki" and "kib" are 1024, and so on. n is 0 without one.
func sizeSuffix(text string) (mult int64, n int) {
	i := strings.IndexByte("kmgtpe", text[0]|0x20)
	if i < 0 {
		return 0, 0
	}
	for n = 1; n < len(text) && !endsWord(text[n]); n++ {
		if n > 2 {
			return 0, 0
		}
	}
	base := int64(1024)
	switch strings.ToLower(text[1:n]) {
	case "":
		base = 1000
	case "b", "i", "ib":
	default:
		return 0, 0
	}
	mult = 1
	for ; i >= 0; i-- {
		mult *= base
	}
	return mult, n
}
