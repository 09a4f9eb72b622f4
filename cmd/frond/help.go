package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/frondmq/frond/cmd/frond/help"
)

// runHelp is `frond help`: what there is to read, or one page of it.
func runHelp(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 0, args[0] == "-h", args[0] == "--help":
		fmt.Fprint(stdout, help.List())
		return 0
	case len(args) > 1:
		return fail(stderr, fmt.Errorf("help takes one word, not %d; frond help lists what there is", len(args)))
	}
	text, ok := help.For(args[0])
	if !ok {
		return fail(stderr, errors.New(text))
	}
	fmt.Fprint(stdout, text)
	return 0
}
