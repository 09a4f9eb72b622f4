package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// FuzzParse: whatever the bytes, there are options or errors with a place,
// never a panic, and equal text has an equal digest.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"grammar.txt", "options.txt"} {
		for _, s := range readStories(f, "testdata/"+file) {
			f.Add([]byte(s.text))
		}
	}
	src := Source{
		ReadFile: func(path string) ([]byte, error) {
			if strings.HasSuffix(path, "self") {
				return []byte("a: 1\ninclude self"), nil
			}
			return nil, fs.ErrNotExist
		},
		Env: func(name string) (string, bool) {
			switch name {
			case "A":
				return "$B", true
			case "B":
				return "[$A]", true
			case "C":
				return "{x: 1}", true
			}
			return "", false
		},
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, _, err := Parse("a.conf", text, src)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("not a list of errors: %#v", err)
			}
			for _, e := range all {
				if e.Pos.Line < 1 || e.Pos.Col < 1 || e.Pos.File == "" || e.Reason == "" {
					t.Errorf("an error without a place: %#v", e)
				}
			}
			return
		}
		_ = o.Validate()
		again, _, err := Parse("a.conf", text, src)
		if err != nil || again.Digest != o.Digest {
			t.Errorf("a second time: %v, %v", again, err)
		}
	})
}
