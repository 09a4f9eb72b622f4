package config

import (
	"fmt"
	"strings"
)

// Position is a place in a configuration file. Line and column count from 1,
// the column in bytes.
type Position struct {
	File string
	Line int
	Col  int
}

// IsZero reports whether there is no such place.
func (p Position) IsZero() bool { return p == Position{} }

func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Error is one thing that is wrong with the configuration.
type Error struct {
	Pos    Position // zero for options that came from flags or code
	Reason string
}

func (e *Error) Error() string {
	if e.Pos.IsZero() {
		return e.Reason
	}
	return e.Pos.String() + ": " + e.Reason
}

// Errors are all things that are wrong, in the order of the files.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the single errors.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, x := range e {
		out[i] = x
	}
	return out
}

// Warning is something odd that does not stop the server.
type Warning struct {
	Pos    Position
	Field  string // "" when it is about the file as a whole
	Reason string
	// Ignored marks a key that is known but has no meaning here.
	Ignored bool
}

func (w Warning) String() string {
	switch {
	case w.Field == "":
		return w.Reason
	case w.Ignored:
		return fmt.Sprintf("%s: field %q has no effect: %s", w.Pos, w.Field, w.Reason)
	default:
		return fmt.Sprintf("%s: invalid use of field %q: %s", w.Pos, w.Field, w.Reason)
	}
}
