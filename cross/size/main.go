// Command size cross-compiles what gates.txt names, prints its bytes beside the
// gates and beside those of the stock nats-server, and names the packages that
// cost most.
//
// What for: `make size`; with -check, `make lint` (the gates of the machines
// that builds are made for most often). What not: it does not build
// nats-server: stock_sizes.txt holds what was measured once, with its version
// and flags. Where to start: main; the gates are in gates.go.
package main

import (
	"bufio"
	"debug/elf"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/frondmq/frond/cross/build"
)

//go:embed stock_sizes.txt
var stockTable string

func main() {
	check := flag.Bool("check", false, "only compare the most common builds with their gates")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "frond-size")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	gates, err := parseGates(gateTable)
	if err != nil {
		return err
	}
	if check {
		return checkGates(gates, root, dir)
	}
	stock, version, err := parseStock(stockTable)
	if err != nil {
		return err
	}
	fmt.Printf("%-6s %-16s %12s %12s %12s %26s %8s\n", "build", "machine", "bytes", "gate", "goal", "nats-server "+version, "ratio")
	var over []error
	for _, v := range []build.Variant{build.Edge(), build.Lite(), build.Full()} {
		for _, t := range build.Targets() {
			g := gates.of(v.Name, t.Name)
			if g == nil && v.Name != "edge" {
				continue
			}
			n, err := weigh(v, t, root, dir)
			if err != nil {
				return err
			}
			fmt.Printf("%-6s %-16s %12d %12s %12s %26d %8.2f\n", v.Name, t.Name, n, g.gateText(), g.goalText(),
				stock[t.Name], float64(n)/float64(stock[t.Name]))
			over = append(over, g.judge(n))
		}
	}
	if err := costliest(root, dir, build.Targets()[0]); err != nil {
		return err
	}
	return errors.Join(over...)
}

// weigh builds and returns the bytes of the binary.
func weigh(v build.Variant, t build.Target, root, dir string) (int64, error) {
	out := filepath.Join(dir, v.File+"-"+t.Name)
	if err := build.Run(v.For(t, root, out)); err != nil {
		return 0, err
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return info.Size(), os.Remove(out)
}

// parseStock reads "name bytes" lines; the line "version X" names the server.
func parseStock(text string) (map[string]int64, string, error) {
	sizes, version := map[string]int64{}, ""
	sc := bufio.NewScanner(strings.NewReader(text))
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case len(f) == 2 && f[0] == "version":
			version = f[1]
		case len(f) == 2:
			size, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return nil, "", fmt.Errorf("stock_sizes.txt:%d: %w", n, err)
			}
			sizes[f[0]] = size
		default:
			return nil, "", fmt.Errorf("stock_sizes.txt:%d: want a name and a number", n)
		}
	}
	return sizes, version, sc.Err()
}

// costliest prints the ten packages with the most bytes of symbols. The
// binary has more than its symbols: line tables and type data belong to no
// package by name.
func costliest(root, dir string, t build.Target) error {
	out := filepath.Join(dir, "symbols")
	o := build.Edge().For(t, root, out)
	o.Symbols = true
	if err := build.Run(o); err != nil {
		return err
	}
	sizes, err := packageSizes(out)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(sizes))
	for name := range sizes {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return sizes[names[i]] > sizes[names[j]] })
	fmt.Printf("\nbytes of symbols by package, %s:\n", t.Name)
	for _, name := range names[:min(10, len(names))] {
		fmt.Printf("%10d  %s\n", sizes[name], name)
	}
	return nil
}

// packageSizes adds up the symbols that have bytes in the file; what is only
// zeroed at the start does not count.
func packageSizes(file string) (map[string]int64, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("symbols of %s: %w", file, err)
	}
	sizes := map[string]int64{}
	for _, s := range symbols {
		if i := int(s.Section); i <= 0 || i >= len(f.Sections) || f.Sections[i].Type == elf.SHT_NOBITS {
			continue
		}
		sizes[packageOf(s.Name)] += int64(s.Size)
	}
	return sizes, nil
}

// packageOf takes the package path off a symbol: what is before the first dot
// behind the last slash, where neither a bracket nor a blank came before.
func packageOf(symbol string) string {
	for _, p := range []string{"type:", "go:", "runtime.gcbits", "gclocals", "$f"} {
		if strings.HasPrefix(symbol, p) {
			return "(types and other data without a package)"
		}
	}
	head := symbol
	if i := strings.IndexAny(head, "[( "); i >= 0 {
		head = head[:i]
	}
	slash := strings.LastIndexByte(head, '/') + 1
	dot := strings.IndexByte(head[slash:], '.')
	if dot < 0 {
		return "(types and other data without a package)"
	}
	return strings.ReplaceAll(head[:slash+dot], "%2e", ".")
}
