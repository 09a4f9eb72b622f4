package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Target is one kind of machine.
type Target struct {
	Name string   // as in file names
	Env  []string // GOOS, GOARCH and the rest
}

// Targets returns the machines, the smallest first.
func Targets() []Target {
	return []Target{
		{"linux-armv6", []string{"GOOS=linux", "GOARCH=arm", "GOARM=6"}},
		{"linux-arm64", []string{"GOOS=linux", "GOARCH=arm64"}},
		{"linux-mipsle", []string{"GOOS=linux", "GOARCH=mipsle", "GOMIPS=softfloat"}},
		{"linux-riscv64", []string{"GOOS=linux", "GOARCH=riscv64"}},
		{"linux-amd64", []string{"GOOS=linux", "GOARCH=amd64"}},
	}
}

// Options of one build.
type Options struct {
	Target Target
	Dir    string // of the module
	Pkg    string
	Tags   string
	// NoInline are packages, as -gcflags takes them, whose code is compiled
	// without inlining.
	NoInline []string
	// Symbols keeps the symbol table, which `go tool nm` needs; the code is the
	// same.
	Symbols bool
	// Version goes into main.version; "" leaves the source's own.
	Version string
	Out     string
}

// Variant is one selection of what is linked in.
type Variant struct {
	Name string // as in gates and lists of packages
	File string // as in file names
	Tags string
	// NoInline: see Options.
	NoInline []string
}

// smallFirst is code that runs once, or once a connection: inlining in it makes
// a build bigger (330 KB on ARMv6) and nothing faster that anyone waits for.
func smallFirst() []string {
	return []string{
		module + "/core/config", "crypto/tls", "crypto/x509", "encoding/asn1", "encoding/json", "log/slog", "net", "regexp/syntax",
	}
}

// Full is everything: what a hub runs.
func Full() Variant { return Variant{Name: "full", File: "frond"} }

// Edge is the build for gateways: no hub.
func Edge() Variant {
	return Variant{Name: "edge", File: "frond-edge", Tags: "edge", NoInline: smallFirst()}
}

// Lite is the edge build for 16 MB of flash: nothing that brings net/http.
// As long as nothing does, it has the bytes of Edge.
func Lite() Variant {
	return Variant{Name: "lite", File: "frond-edge-lite", Tags: "edge,lite", NoInline: smallFirst()}
}

// Variants returns all of them, the smallest first.
func Variants() []Variant { return []Variant{Lite(), Edge(), Full()} }

// For is the build of a variant for a machine.
func (v Variant) For(t Target, root, out string) Options {
	return Options{Target: t, Dir: root, Pkg: "./cmd/frond", Tags: v.Tags, Out: out, NoInline: v.NoInline}
}

const module = "github.com/frondmq/frond"

// Run builds one binary.
func Run(o Options) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", o.Out}
	if o.Tags != "" {
		args = append(args, "-tags", o.Tags)
	}
	for _, p := range o.NoInline {
		args = append(args, "-gcflags="+p+"=-l")
	}
	var flags []string
	if !o.Symbols {
		flags = append(flags, "-s", "-w")
	}
	if o.Version != "" {
		flags = append(flags, "-X", "main.version="+o.Version)
	}
	if len(flags) > 0 {
		args = append(args, "-ldflags="+strings.Join(flags, " "))
	}
	cmd := exec.Command(Go(), append(args, o.Pkg)...)
	cmd.Dir = o.Dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), o.Target.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w\n%s", o.Pkg, o.Target.Name, err, out)
	}
	return nil
}

// Go is the go command of the toolchain that runs us.
func Go() string {
	path := filepath.Join(runtime.GOROOT(), "bin", "go")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return "go"
}

// Root is the folder of the module, found above the working folder.
func Root() (string, error) {
	out, err := exec.Command(Go(), "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
