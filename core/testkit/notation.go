package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// JSON gives the JSON object that text is short for, so that tests need no JSON in
// their strings:
//
//	name=S subjects=[s.>,t] allow_direct max_msgs=3 max_age=1h republish={src=s.> dest="a b"}
//
// Fields are divided by blanks and keep their order; one without a value is true. A
// value is a number, a duration (which JSON has in nanoseconds), true, false or null; a
// list [a,b]; an object {a=1 b=2}; or else a string. What would be one of the others, or
// has one of ` ="[]{},` in it, is a string in quotes, as Go writes them.
//
// What this does not describe fails the test and says where.
func JSON(t testing.TB, text string) string {
	t.Helper()
	out, err := fromNotation(text)
	if err != nil {
		t.Fatalf("the notation %q: %v", text, err)
	}
	return out
}

// fromNotation is JSON without a test.
func fromNotation(text string) (string, error) {
	r := notation{text: text}
	if err := r.fields(0); err != nil {
		return "", fmt.Errorf("at %d: %w", r.at, err)
	}
	return r.out.String(), nil
}

// notation reads text from at on and writes JSON.
type notation struct {
	text string
	at   int
	out  bytes.Buffer
}

var (
	fieldName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*`)
	plainWord  = regexp.MustCompile(`^[^\s="\[\]{},]+`)
	plainSpan  = regexp.MustCompile(`^([0-9]+(ns|us|ms|s|m|h))+$`)
	plainCount = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

// peek is the next byte, 0 at the end.
func (r *notation) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// fields reads those of an object, up to end.
func (r *notation) fields(end byte) error {
	seen := make(map[string]bool)
	r.out.WriteByte('{')
	for {
		before := r.at
		r.at += len(r.text[r.at:]) - len(strings.TrimLeft(r.text[r.at:], " \t\n"))
		if r.peek() == end && (end != 0 || r.at == len(r.text)) {
			r.out.WriteByte('}')
			return nil
		}
		name := fieldName.FindString(r.text[r.at:])
		switch {
		case name == "":
			return fmt.Errorf("no name of a field")
		case len(seen) > 0 && r.at == before:
			return fmt.Errorf("no blank before a field")
		case seen[name]:
			return fmt.Errorf("%s is there twice", name)
		case len(seen) > 0:
			r.out.WriteByte(',')
		}
		seen[name] = true
		r.at += len(name)
		fmt.Fprintf(&r.out, "%q:", name)
		if r.peek() != '=' {
			r.out.WriteString("true")
			continue
		}
		r.at++
		if err := r.value(); err != nil {
			return err
		}
	}
}

// value reads one.
func (r *notation) value() error {
	switch r.peek() {
	case '{':
		r.at++
		if err := r.fields('}'); err != nil {
			return err
		}
		r.at++
		return nil
	case '[':
		return r.list()
	case '"':
		quoted, err := strconv.QuotedPrefix(r.text[r.at:])
		if err != nil {
			return fmt.Errorf("a quote that does not end")
		}
		r.at += len(quoted)
		s, _ := strconv.Unquote(quoted)
		return r.string(s)
	}
	word := plainWord.FindString(r.text[r.at:])
	if word == "" {
		return fmt.Errorf("no value")
	}
	r.at += len(word)
	switch {
	case word == "true", word == "false", word == "null", plainCount.MatchString(word):
		r.out.WriteString(word)
		return nil
	case plainSpan.MatchString(word):
		d, err := time.ParseDuration(word)
		fmt.Fprint(&r.out, d.Nanoseconds())
		return err
	}
	return r.string(word)
}

// list reads values that commas divide.
func (r *notation) list() error {
	r.out.WriteByte('[')
	r.at++
	for first := true; r.peek() != ']'; first = false {
		if !first {
			if r.peek() != ',' {
				return fmt.Errorf("no comma in a list, and no end")
			}
			r.at++
			r.out.WriteByte(',')
		}
		if err := r.value(); err != nil {
			return err
		}
	}
	r.at++
	r.out.WriteByte(']')
	return nil
}

// string writes s as JSON does, but for the characters of HTML.
func (r *notation) string(s string) error {
	e := json.NewEncoder(&r.out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	r.out.Truncate(r.out.Len() - 1) // the end of the line
	return nil
}
