package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A service has no console and no folder of its own: a file that counts on
// either is refused when it is installed, and not at some boot.
func TestService_configuration(t *testing.T) {
	dir := t.TempDir()
	abs := filepath.ToSlash(dir)
	for _, c := range []struct{ text, want string }{
		{"port: -1", "set log_file"},
		{"port: -1\nlog_file: \"frond.log\"", `log_file "frond.log" must be an absolute path`},
		{"port: -1\nlog_file: \"" + abs + "/frond.log\"\njetstream { store_dir: \"data\" }", `store_dir "data" must be an absolute path`},
		{"prot: -1", "prot"},
		{"port: -1\nlog_file: \"" + abs + "/frond.log\"\njetstream { store_dir: \"" + abs + "/data\" }", ""},
	} {
		file := filepath.Join(dir, "f.conf")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := serviceConfig(file)
		if c.want == "" {
			if err != nil || path != file {
				t.Errorf("%q: %q, %v", c.text, path, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestService_words(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"install", "say the configuration file"},
		{"install -x", "see frond service -h"},
		{"stop now", `"now" is one word too many`},
	} {
		var out, errs bytes.Buffer
		if code := runService(strings.Fields(c.args), &out, &errs); code != 1 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: %d %q, want %q", c.args, code, errs.String(), c.want)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	var out, errs bytes.Buffer
	if code := runService([]string{"stop"}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "is for Windows") {
		t.Errorf("%d %q", code, errs.String())
	}
}
