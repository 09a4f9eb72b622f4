// Command mutants weakens the product on purpose, one patch at a time, and
// shows for each the named test that notices.
//
// What for: `make mutants`; with -check, `make lint` (the patches apply and
// their tests exist, nothing is run). A test that passes with and without the
// guarantee it is named for proves nothing. What not: nothing is changed in the
// tree and there is no hook in the product: a patch is applied to a copy, which
// the go command builds in place of the file (-overlay).
//
// A patch is a unified diff with a head of "# " lines: what guarantee it takes
// out, and "# killed by: PACKAGE TEST". Files are named from the root of the
// repository. Where to start: main; patch.go applies one.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/frondmq/frond/cross/build"
)

func main() {
	check := flag.Bool("check", false, "only show that the patches apply and their tests are there")
	only := flag.String("only", "", "a regular expression of the patches to run")
	timeout := flag.Duration("timeout", 5*time.Minute, "of one test")
	flag.Parse()
	if err := run(*check, *only, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(check bool, only string, timeout time.Duration) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	root, err := build.Root()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "cross", "mutants", "*.patch"))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "frond-mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var errs []error
	n := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if !match.MatchString(name) {
			continue
		}
		n++
		m, err := load(file)
		if err == nil {
			err = m.overlay(root, filepath.Join(tmp, name))
		}
		if err == nil {
			err = m.hasTest(root)
		}
		if err == nil && !check {
			err = m.kill(root, timeout)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			if !check {
				fmt.Printf("%-44s NOT NOTICED\n", name)
			}
		} else if !check {
			fmt.Printf("%-44s noticed by %s\n", name, m.test)
		}
	}
	fmt.Printf("%d patches of cross/mutants, %d in trouble\n", n, len(errs))
	return errors.Join(errs...)
}

// mutant is one patch.
type mutant struct {
	pkg, test string
	files     []filePatch
	flags     string // path of the overlay file
}

func load(file string) (*mutant, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := &mutant{}
	for _, line := range strings.Split(string(text), "\n") {
		if by, ok := strings.CutPrefix(line, "# killed by: "); ok {
			f := strings.Fields(by)
			if len(f) != 2 || !strings.HasPrefix(f[0], "./") {
				return nil, fmt.Errorf("%q: want a package that begins with ./ and a test", line)
			}
			m.pkg, m.test = f[0], f[1]
		}
	}
	if m.test == "" {
		return nil, errors.New("no line \"# killed by: PACKAGE TEST\"")
	}
	m.files, err = parsePatch(string(text))
	return m, err
}

// overlay writes the weakened files and the list that tells the go command of
// them.
func (m *mutant) overlay(root, dir string) error {
	replace := make(map[string]string)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, p := range m.files {
		path := filepath.Join(root, filepath.FromSlash(p.name))
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		weak, err := p.apply(string(old))
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		to := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(path)))
		if err := os.WriteFile(to, []byte(weak), 0o644); err != nil {
			return err
		}
		replace[path] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	m.flags = filepath.Join(dir, "overlay.json")
	return os.WriteFile(m.flags, list, 0o644)
}

// hasTest looks for the function; a subtest is not looked for.
func (m *mutant) hasTest(root string) error {
	name, _, _ := strings.Cut(m.test, "/")
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(m.pkg), "*_test.go"))
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return nil
		}
	}
	return fmt.Errorf("no test %s in %s", name, m.pkg)
}

// kill runs the test against the weakened code, and reports when it passes.
func (m *mutant) kill(root string, timeout time.Duration) error {
	args := []string{"-overlay", m.flags, "-tags", "invariants"}
	dir, pkg := root, m.pkg
	if rest, ok := strings.CutPrefix(pkg, "./cmd/interop"); ok {
		dir, pkg = filepath.Join(root, "cmd", "interop"), "."+rest
	}
	args = append(append([]string{"test"}, args...), "-vet=off", "-count=1", "-timeout", timeout.String(), "-run", exactly(m.test), pkg)
	out, err := goTool(dir, args...)
	if err == nil {
		return fmt.Errorf("%s of %s passes all the same\n%s", m.test, m.pkg, out)
	}
	// What does not compile must not be taken for a test that notices.
	if strings.Contains(out, "[build failed]") {
		return fmt.Errorf("does not compile: %w\n%s", err, out)
	}
	if !strings.Contains(out, "--- FAIL: "+topOf(m.test)) && !strings.Contains(out, "panic: ") {
		return fmt.Errorf("%s of %s did not fail by itself: %w\n%s", m.test, m.pkg, err, out)
	}
	return nil
}

func topOf(test string) string { name, _, _ := strings.Cut(test, "/"); return name }

// exactly is the regular expression that -run takes for one test.
func exactly(test string) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command(build.Go(), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
