package main

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/frondmq/frond/cross/build"
)

//go:embed gates.txt
var gateTable string

// gate is what one build may weigh. A nil gate allows everything.
type gate struct {
	variant, target string
	bytes, goal     int64 // goal 0: none
}

type gateList []gate

// parseGates reads rows of variant, machine, gate and goal, and refuses a row
// that no build would ever be held against.
func parseGates(text string) (gateList, error) {
	var list gateList
	sc := bufio.NewScanner(strings.NewReader(text))
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 4 {
			return nil, fmt.Errorf("gates.txt:%d: want variant, machine, gate, goal", n)
		}
		g := gate{variant: f[0], target: f[1]}
		if variantNamed(g.variant) == nil {
			return nil, fmt.Errorf("gates.txt:%d: no variant %q", n, g.variant)
		}
		if targetNamed(g.target) == nil {
			return nil, fmt.Errorf("gates.txt:%d: no machine %q", n, g.target)
		}
		if list.of(g.variant, g.target) != nil {
			return nil, fmt.Errorf("gates.txt:%d: %s for %s has a gate already", n, g.variant, g.target)
		}
		var err error
		if g.bytes, err = strconv.ParseInt(f[2], 10, 64); err == nil && f[3] != "-" {
			g.goal, err = strconv.ParseInt(f[3], 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("gates.txt:%d: %w", n, err)
		}
		list = append(list, g)
	}
	return list, sc.Err()
}

func variantNamed(name string) *build.Variant {
	for _, v := range build.Variants() {
		if v.Name == name {
			return &v
		}
	}
	return nil
}

func targetNamed(name string) *build.Target {
	for _, t := range build.Targets() {
		if t.Name == name {
			return &t
		}
	}
	return nil
}

func (l gateList) of(variant, target string) *gate {
	for i := range l {
		if l[i].variant == variant && l[i].target == target {
			return &l[i]
		}
	}
	return nil
}

func (g *gate) gateText() string {
	if g == nil {
		return "-"
	}
	return strconv.FormatInt(g.bytes, 10)
}

func (g *gate) goalText() string {
	if g == nil || g.goal == 0 {
		return "-"
	}
	return strconv.FormatInt(g.goal, 10)
}

// judge is an error when n bytes are too many.
func (g *gate) judge(n int64) error {
	if g == nil || n <= g.bytes {
		return nil
	}
	return fmt.Errorf("the %s build for %s has %d bytes, more than %d; `make size` names the costliest packages", g.variant, g.target, n, g.bytes)
}

// checkGates builds what lint looks at: the small builds for ARMv6, where each
// kilobyte counts, and the full one for servers.
func checkGates(gates gateList, root, dir string) error {
	var errs []error
	for _, row := range [][2]string{{"lite", "linux-armv6"}, {"edge", "linux-armv6"}, {"full", "linux-amd64"}} {
		g := gates.of(row[0], row[1])
		if g == nil {
			return fmt.Errorf("gates.txt has no row for %s on %s", row[0], row[1])
		}
		n, err := weigh(*variantNamed(g.variant), *targetNamed(g.target), root, dir)
		if err != nil {
			return err
		}
		fmt.Printf("%s build for %s: %d of %d bytes\n", g.variant, g.target, n, g.bytes)
		errs = append(errs, g.judge(n))
	}
	return errors.Join(errs...)
}
