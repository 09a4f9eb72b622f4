//go:build lite

package main

import (
	"errors"
	"io"
)

func runImport(_ []string, _, stderr io.Writer) int {
	return fail(stderr, errors.New("import is not in the lite build: the edge and full builds have it"))
}
