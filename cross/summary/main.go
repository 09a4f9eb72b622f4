// Command summary reads the stream of `go test -json` and prints what a person
// wants to know: a line a package, the output of what failed, the slowest
// tests, and the counts at the end.
//
// What for: .ci/run and `make test`. What not: it runs no tests; its exit code
// is 1 when a test failed or none ran. Where to start: main.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of test2json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64
}

type result struct {
	passed, failed, skipped int
	packages                int
	slow                    []event
}

func main() {
	r, err := read(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	sort.Slice(r.slow, func(i, j int) bool { return r.slow[i].Elapsed > r.slow[j].Elapsed })
	fmt.Println("\nslowest:")
	for _, e := range r.slow[:min(10, len(r.slow))] {
		fmt.Printf("%8.1fs  %s %s\n", e.Elapsed, short(e.Package), e.Test)
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.failed > 0 || r.passed == 0 {
		os.Exit(1)
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/frondmq/frond/") }

// read prints as it goes. A line that is no event (a tool's own words) is
// passed on.
func read(in io.Reader, out io.Writer) (result, error) {
	var r result
	type key struct{ pkg, test string }
	output := map[key][]string{}
	failedTests := map[string]int{}
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<20), 16<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil || e.Action == "" {
			fmt.Fprintln(out, sc.Text())
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "build-fail":
			fmt.Fprintf(out, "FAIL %s does not build\n", short(e.ImportPath))
		case "output":
			output[k] = append(output[k], e.Output)
		case "pass", "fail", "skip":
			if e.Test == "" {
				r.pkg(out, e, output[k], failedTests[e.Package])
				break
			}
			r.test(e)
			if e.Action == "fail" {
				failedTests[e.Package]++
				fmt.Fprintf(out, "--- FAIL: %s %s\n%s", short(e.Package), e.Test, strings.Join(output[k], ""))
			}
			delete(output, k)
		}
	}
	return r, sc.Err()
}

func (r *result) test(e event) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
	case "skip":
		r.skipped++
	}
	if e.Elapsed >= 1 {
		r.slow = append(r.slow, e)
	}
}

// pkg prints the line of a package. One that failed without a failed test
// (does not build, panics, times out) counts as a failure itself.
func (r *result) pkg(out io.Writer, e event, output []string, failed int) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(out, "ok   %-40s %6.1fs\n", short(e.Package), e.Elapsed)
	case "fail":
		if failed == 0 {
			r.failed++
		}
		fmt.Fprintf(out, "FAIL %-40s %6.1fs\n%s", short(e.Package), e.Elapsed, strings.Join(output, ""))
	}
	r.packages++
}
