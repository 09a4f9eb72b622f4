package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Target is one kind of machine.
type Target struct {
	Name string   // as in file names
	Env  []string // GOOS, GOARCH and the rest
}

// Targets returns the machines that sizes are watched for, the smallest first.
func Targets() []Target {
	return []Target{
		named("linux-armv6"), named("linux-arm64"), named("linux-mipsle"), named("linux-riscv64"), named("linux-amd64"),
	}
}

// Matrix returns all machines that releases are made for.
func Matrix() []Target {
	return []Target{
		{"linux-armv5", []string{"GOOS=linux", "GOARCH=arm", "GOARM=5"}},
		{"linux-armv6", []string{"GOOS=linux", "GOARCH=arm", "GOARM=6"}},
		{"linux-armv7", []string{"GOOS=linux", "GOARCH=arm", "GOARM=7"}},
		{"linux-arm64", []string{"GOOS=linux", "GOARCH=arm64"}},
		{"linux-mips", []string{"GOOS=linux", "GOARCH=mips", "GOMIPS=softfloat"}},
		{"linux-mipsle", []string{"GOOS=linux", "GOARCH=mipsle", "GOMIPS=softfloat"}},
		{"linux-riscv64", []string{"GOOS=linux", "GOARCH=riscv64"}},
		{"linux-amd64", []string{"GOOS=linux", "GOARCH=amd64"}},
		{"linux-386", []string{"GOOS=linux", "GOARCH=386"}},
		{"darwin-amd64", []string{"GOOS=darwin", "GOARCH=amd64"}},
		{"darwin-arm64", []string{"GOOS=darwin", "GOARCH=arm64"}},
		{"windows-amd64", []string{"GOOS=windows", "GOARCH=amd64"}},
	}
}

func named(name string) Target {
	for _, t := range Matrix() {
		if t.Name == name {
			return t
		}
	}
	panic("build: no machine " + name)
}

// OS is the operating system of the machine, as Go names it.
func (t Target) OS() string { os, _, _ := strings.Cut(t.Name, "-"); return os }

// pageRounding is what segments are aligned to in the file, "" where the linker
// decides. On 32-bit ARM that is 64 KB, of which half is lost at the end of each
// segment. No kernel that runs 32-bit ARM programs has pages above 16 KB, which
// a Raspberry Pi 5 has; 4 KB would not load there.
func (t Target) pageRounding() string {
	if strings.HasPrefix(t.Name, "linux-armv") {
		return "16384"
	}
	return ""
}

// Builds are the variants that are of use on the machine: gateways run Linux,
// and no hub runs on a router.
func (t Target) Builds() []Variant {
	switch t.Name {
	case "linux-mips", "linux-mipsle", "linux-armv5":
		return []Variant{Lite(), Edge()}
	case "linux-armv6", "linux-armv7", "linux-arm64", "linux-riscv64", "linux-amd64":
		return Variants()
	case "linux-386":
		return []Variant{Edge(), Full()}
	}
	return []Variant{Full()}
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
	// Version becomes core.ProgramVersion; "" leaves the source's own.
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

// smallOnce is code that runs once, or once a connection: inlining in it makes
// a build bigger and nothing faster that anyone waits for. None of it handles
// messages, and nothing that does calls small functions of it.
func smallOnce() []string {
	return []string{
		module + "/cmd/frond", module + "/cmd/frond/help", module + "/core/auth", module + "/core/config", module + "/core/jetstream/sourcing", module + "/core/monitor", module + "/core/transport",
		"container/list", "context", "encoding/asn1", "encoding/base32", "encoding/base64", "encoding/hex", "encoding/json", "encoding/pem", "flag", "fmt", "hash/maphash", "io/fs", "log", "log/slog", "math/big",
		"net", "net/netip", "net/url", "os", "os/signal", "path/filepath", "reflect", "syscall", "unicode",
		"internal/filepathlite", "internal/fmtsort", "internal/singleflight", "path", "runtime/debug",
		"crypto/tls", "crypto/x509", "crypto/x509/pkix", "internal/bisect", "internal/godebug", "internal/oserror", "internal/syscall/unix",
		"golang.org/x/sys/unix", "vendor/golang.org/x/crypto/cryptobyte", "vendor/golang.org/x/crypto/cryptobyte/asn1", "vendor/golang.org/x/net/dns/dnsmessage",
	}
}

// smallHTTP is what the request that opens a WebSocket brings. The lite build has none
// of it.
func smallHTTP() []string {
	return []string{
		"compress/flate", "mime", "mime/multipart", "mime/quotedprintable", "net/http", "net/http/internal", "net/http/internal/ascii", "net/textproto",
		"vendor/golang.org/x/net/http/httpguts", "vendor/golang.org/x/net/idna", "vendor/golang.org/x/text/unicode/norm",
	}
}

// smallFirst is smallOnce and what computes keys and hashes, which a hub with ten thousand
// peers waits for, and a gateway once.
func smallFirst() []string {
	return append(smallOnce(),
		"crypto/cipher", "crypto/des", "crypto/dsa", "crypto/hkdf", "crypto/hmac", "crypto/internal/fips140cache", "crypto/internal/fips140hash", "crypto/internal/fips140/edwards25519", "crypto/rc4",
		"golang.org/x/crypto/blowfish",
		"crypto/ecdh", "crypto/ecdsa", "crypto/ed25519", "crypto/elliptic", "crypto/hpke", "crypto/mlkem", "crypto/rsa", "crypto/sha3",
		"crypto/internal/fips140/bigmod", "crypto/internal/fips140/drbg", "crypto/internal/fips140/ecdh", "crypto/internal/fips140/ecdsa", "crypto/internal/fips140/ed25519",
		"crypto/internal/fips140/hkdf", "crypto/internal/fips140/hmac", "crypto/internal/fips140/mlkem", "crypto/internal/fips140/nistec", "crypto/internal/fips140/rsa", "crypto/internal/fips140/sha3",
		"crypto/internal/fips140/tls12", "crypto/internal/fips140/tls13",
		"github.com/nats-io/nkeys", "golang.org/x/crypto/bcrypt", "golang.org/x/crypto/blake2b", "golang.org/x/crypto/curve25519", "golang.org/x/crypto/nacl/box",
		"golang.org/x/crypto/nacl/secretbox",
	)
}

// smallThroughout is what handles messages and is big. What routes them (subjects,
// the text protocol, accounts, what waits for connections) stays as it is.
func smallThroughout() []string {
	return []string{
		module + "/core", module + "/core/jetstream", module + "/core/jetstream/api", module + "/core/jetstream/apierror", module + "/core/jetstream/asset", module + "/core/jetstream/consumer", module + "/core/jetstream/damage", module + "/core/jetstream/origins",
		module + "/core/jetstream/jsclient", module + "/edgestore", module + "/edgestore/journal", module + "/edgestore/vfs", module + "/leaf", module + "/mqtt", module + "/mqtt/session",
		"encoding/json/...", "github.com/mochi-mqtt/server/v2/packets", "github.com/tinylib/msgp/msgp", "go.etcd.io/bbolt/...",
		"bufio", "bytes", "crypto/internal/fips140/sha256", "crypto/internal/fips140/sha512", "encoding/binary", "errors", "internal/poll", "internal/reflectlite", "internal/strconv", "io", "maps", "math/rand/v2", "slices", "sort", "strconv", "strings", "time", "unicode/utf8",
	}
}

// Full is everything: what a hub runs. What it waits for is as fast as it can be.
func Full() Variant {
	return Variant{Name: "full", File: "frond", NoInline: append(smallOnce(), smallHTTP()...)}
}

// Edge is the build for gateways: no hub.
func Edge() Variant {
	return Variant{Name: "edge", File: "frond-edge", Tags: "edge", NoInline: append(smallFirst(), smallHTTP()...)}
}

// Lite is the edge build for 16 MB of flash: nothing that brings net/http, and
// smaller code before faster code in streams, links and sessions too.
func Lite() Variant {
	return Variant{Name: "lite", File: "frond-edge-lite", Tags: "edge,lite", NoInline: append(smallFirst(), smallThroughout()...)}
}

// Variants returns all of them, the smallest first.
func Variants() []Variant { return []Variant{Lite(), Edge(), Full()} }

// For is the build of a variant for a machine.
func (v Variant) For(t Target, root, out string) Options {
	return Options{Target: t, Dir: root, Pkg: "./cmd/frond", Tags: v.Tags, Out: out, NoInline: v.NoInline}
}

const (
	module      = "github.com/frondmq/frond"
	shortModule = "frond" // in builds: see lean

	versionVariable = shortModule + "/core.programVersion"
)

// shortShapes has the compiler name what a generic function was made for by a sum
// where the types are longer than that: 53 KB less on ARM. Stack traces show
// neither, but "[...]".
const shortShapes = "-d=maxshapelen=63"

// oneMake has the compiler make slices in one way: otherwise there is code for
// short ones on the stack beside each make, 12 KB on ARM in what runs once.
const oneMake = "-d=variablemakethreshold=0"

// Run builds one binary.
func Run(o Options) error {
	dir, err := os.MkdirTemp("", "frond-build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := lean(o.Dir, dir); err != nil {
		return err
	}
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return err
	}
	args := []string{"build", "-mod=vendor", "-trimpath", "-buildvcs=false", "-o", out}
	args = append(args, "-tags", strings.TrimPrefix(o.Tags+",lean", ","))
	args = append(args, "-gcflags=all="+shortShapes)
	for _, p := range o.NoInline {
		flags := "-l " + shortShapes
		if p != "crypto/tls" && slices.Contains(smallFirst(), p) { // records go through crypto/tls
			flags += " " + oneMake
		}
		args = append(args, "-gcflags="+short(p)+"="+flags)
	}
	var flags []string
	if !o.Symbols {
		// Without the build id, which hangs on the folders of the machine that built.
		flags = append(flags, "-s", "-w", "-buildid=")
	}
	if round := o.Target.pageRounding(); round != "" {
		flags = append(flags, "-R="+round)
	}
	if o.Version != "" {
		flags = append(flags, "-X", versionVariable+"="+o.Version)
	}
	if len(flags) > 0 {
		args = append(args, "-ldflags="+strings.Join(flags, " "))
	}
	cmd := exec.Command(Go(), append(args, o.Pkg)...)
	cmd.Dir = dir
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
