package cross

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/frondmq/frond/cross/build"
)

// A finding is worth what it says about a version that stays the same, so each
// script pins what it installs, cleans up behind itself and says what it needs.
func TestHouse_findings(t *testing.T) {
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(root, "findings", "*.sh"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts in findings, error %v", len(scripts), err)
	}
	for _, name := range scripts {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := sourced.ReplaceAllStringFunc(string(b), func(l string) string {
			lib, err := os.ReadFile(filepath.Join(root, "findings", sourced.FindStringSubmatch(l)[1]))
			if err != nil {
				t.Fatal(err)
			}
			return string(lib)
		})
		for _, fault := range faultsOfFinding(text, info.Mode()) {
			t.Errorf("findings/%s: %s", info.Name(), fault)
		}
	}
}

// sourced is the line by which a script has what it shares with others.
var sourced = regexp.MustCompile(`(?m)^\. "\$\(dirname "\$0"\)/(.*\.lib)"\n`)

// pinned is a package with its version, of the Go, npm and Debian tools.
var pinned = regexp.MustCompile(`@v?[0-9]|=[0-9$"]|\$version`)

func faultsOfFinding(text string, mode os.FileMode) (faults []string) {
	fault := func(is bool, what string) {
		if is {
			faults = append(faults, what)
		}
	}
	about, script, _ := strings.Cut(text, "\nset -euo pipefail\n")
	fault(mode&0o111 == 0, "is not executable")
	fault(!strings.HasPrefix(about, "#!/usr/bin/env bash\n# "), "does not begin with #!/usr/bin/env bash and what it finds")
	fault(!strings.Contains(about, "\n# Needs "), "does not say what it needs")
	fault(script == "", "goes on after an error: no line of set -euo pipefail behind the comment")
	fault(!strings.Contains(script, "$(mktemp -d)") || !strings.Contains(script, `rm -rf "$dir"`), "leaves its folder behind")
	_, needs, _ := strings.Cut(about, "\n# Needs ")
	for command, tool := range map[string]string{"go get": "go", "npm install": "npm", "apt-get download": "apt", "python3 ": "python3", "\ncc ": "gcc"} {
		fault(strings.Contains(script, command) && !strings.Contains(needs, tool), "does not say that it needs "+tool)
	}
	fault(strings.Contains(script, "tee said") && strings.Count(script, "said") == 1, "prints what it sees and compares it with nothing")
	fault(!pinned.MatchString(script), "pins no version")
	return faults
}

func TestHouse_findings_are_looked_at(t *testing.T) {
	if got := faultsOfFinding("#!/bin/sh\n\nset -euo pipefail\nnpm install thing | tee said\n", 0o644); len(got) != 7 {
		t.Errorf("a script with every fault has %d: %q", len(got), got)
	}
}
