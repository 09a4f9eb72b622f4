package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// finding is one thing about a configuration file, as -t --json tells it. File,
// line and column are left out when it has no place in a file.
type finding struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
}

// report is what -t --json prints.
type report struct {
	File     string    `json:"file"`
	Valid    bool      `json:"valid"`
	Digest   string    `json:"digest,omitempty"`
	Errors   []finding `json:"errors"`
	Warnings []finding `json:"warnings"`
}

// check is -t: it fails where the start would, as far as that can be known
// without opening the store and the ports, so also for a data folder of a newer
// program: before an upgrade restarts what runs. A warning does not fail.
func check(f *flags, stdout, stderr io.Writer) int {
	if f.json && !f.check {
		return fail(stderr, errors.New("--json belongs to -t"))
	}
	if f.config == "" {
		return fail(stderr, errors.New("must specify [-c, --config] option to check configuration file syntax"))
	}
	o, warns, err := f.options()
	if err == nil {
		_, err = core.New(o, modules(), nil)
	}
	if err == nil {
		err = core.CheckStore(o)
	}
	if f.json {
		return printReport(f.config, o, warns, err, stdout, stderr)
	}
	for _, w := range warns {
		fmt.Fprintf(stderr, "frond: %s\n", w.String())
	}
	if err != nil {
		return fail(stderr, err)
	}
	fmt.Fprintf(stderr, "frond: configuration file %s is valid (%s)\n", o.File, o.Digest)
	return 0
}

func printReport(file string, o *config.Options, warns []config.Warning, err error, stdout, stderr io.Writer) int {
	r := report{File: file, Valid: err == nil, Errors: []finding{}, Warnings: []finding{}}
	for _, e := range leaves(err) {
		r.Errors = append(r.Errors, findingOf(e))
	}
	for _, w := range warns {
		at := w.Pos
		w.Pos = config.Position{}
		reason := w.Reason
		if w.Field != "" {
			reason = fmt.Sprintf("field %q: %s", w.Field, w.Reason)
		}
		r.Warnings = append(r.Warnings, finding{at.File, at.Line, at.Col, reason})
	}
	if err == nil {
		r.Digest = o.Digest
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fail(stderr, err)
	}
	if r.Valid {
		return 0
	}
	return 1
}

// leaves are the single errors that err is made of.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range all.Unwrap() {
			out = append(out, leaves(e)...)
		}
		return out
	}
	return []error{err}
}

func findingOf(err error) finding {
	var e *config.Error
	if errors.As(err, &e) {
		return finding{e.Pos.File, e.Pos.Line, e.Pos.Col, e.Reason}
	}
	return finding{Reason: err.Error()}
}
