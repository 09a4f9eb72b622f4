package main

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
)

// cpuGate is what the builds for one machine may take of the processors once
// the standard library is in the build cache: a release must stay a thing that
// one does without thinking.
const cpuGate = 90 * time.Second

// measured runs what is made for one machine and prints its CPU time.
func measured(name string, do func() error) error {
	before := cpuTime()
	err := do()
	took := cpuTime() - before
	if took < time.Second/10 {
		return err // nothing was made, or a system that does not tell
	}
	over := ""
	if took > cpuGate {
		over = ": OVER with a warm build cache"
	}
	fmt.Printf("%s: %.1f CPU seconds of %.0f%s\n", name, took.Seconds(), cpuGate.Seconds(), over)
	return err
}

//go:embed installed.txt
var installedTable string

// printInstalled shows the size of a package for a router beside other brokers.
func printInstalled(file string, bytes int64) {
	fmt.Printf("installed on MIPS, in bytes:\n%12d  frond, all of %s\n", bytes, file)
	for _, l := range strings.Split(strings.TrimSpace(installedTable), "\n") {
		if f := strings.SplitN(l, " ", 4); f[0] != "#" {
			fmt.Printf("%12s  %s %s: %s\n", f[2], f[0], f[1], f[3])
		}
	}
}
