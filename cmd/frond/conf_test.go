package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// The configurations that packages install are valid, without a warning.
func TestConf_that_is_installed(t *testing.T) {
	files, err := filepath.Glob("../../firmware/conf/*.conf")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		var out, errs bytes.Buffer
		if code := run([]string{"-t", "-c", file}, &out, &errs); code != 0 {
			t.Errorf("%s: exit %d: %s", file, code, errs.String())
		}
	}
}
