package main

import (
	"strings"
	"testing"
)

const sample = "# a guarantee\n# killed by: ./x TestX\n--- a/x/x.go\n+++ b/x/x.go\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n"

func TestPatch_applies_where_its_lines_are(t *testing.T) {
	files, err := parsePatch(sample)
	if err != nil || len(files) != 1 || files[0].name != "x/x.go" {
		t.Fatalf("%+v, %v", files, err)
	}
	got, err := files[0].apply("0\na\nb\nd\n9\n")
	if err != nil || got != "0\na\nc\nd\n9\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestPatch_refuses(t *testing.T) {
	files, err := parsePatch(sample)
	if err != nil {
		t.Fatal(err)
	}
	for text, why := range map[string]string{
		"a\nB\nd\n":          "does not apply",
		"a\nb\nd\na\nb\nd\n": "fits in 2 places",
		"":                   "does not apply",
		"xa\nb\nd\n":         "does not apply",
	} {
		if _, err := files[0].apply(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
	for _, text := range []string{"", "@@ -1 +1 @@\n", "--- a/x\n+++ b/x\n", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n?\n"} {
		if _, err := parsePatch(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
