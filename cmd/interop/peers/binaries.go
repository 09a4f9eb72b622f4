package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Versions of the stock programs. They are the Go tools of this module, so
// go.mod decides what is built; the names here only key the cache, and a
// mismatch fails a test.
const (
	StockVersion = "2.15.3"
	CLIVersion   = "0.5.0"
)

// Frond returns the path of the frond binary under test. FROND_BIN names one
// that is already built; else it is built from the parent module into dir,
// with the flags in FROND_BUILD_FLAGS (for example "-race -tags=invariants").
func Frond(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv("FROND_BIN"); path != "" {
		return path, nil
	}
	root, err := ProductRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "frond")
	args := append([]string{"build", "-o", out}, strings.Fields(os.Getenv("FROND_BUILD_FLAGS"))...)
	return out, goTool(ctx, root, append(args, "./cmd/frond")...)
}

// ProductRoot finds the folder of the parent module above the working folder.
func ProductRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/frondmq/frond\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside the frond repository: no go.mod of github.com/frondmq/frond above the working folder")
		}
		dir = up
	}
}

// Stock returns the path of a stock nats-server, built once per version.
func Stock(ctx context.Context) (string, error) {
	return tool(ctx, "nats-server-"+StockVersion, "github.com/nats-io/nats-server/v2")
}

// CLI returns the path of the `nats` command line client, built once per
// version.
func CLI(ctx context.Context) (string, error) {
	return tool(ctx, "nats-"+CLIVersion, "github.com/nats-io/natscli/nats")
}

// OldVersions are releases of nats-server that stand for what runs in the field:
// the last ones of four ages, of which 2.14 is the first with acknowledged
// sources.
var OldVersions = []string{"2.10.27", "2.11.17", "2.12.15", "2.14.10"}

// OldStock is nats-server of another release, built from the module of that version.
func OldStock(ctx context.Context, version string) (string, error) {
	return cached("nats-server-"+version, func(_, out string) error {
		dir, err := os.MkdirTemp("", "nats-server")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		// Outside of a module, so that it gets the dependencies that it names.
		if err := goTool(ctx, dir, "mod", "init", "build.invalid/old"); err != nil {
			return err
		}
		const module = "github.com/nats-io/nats-server/v2"
		if err := goTool(ctx, dir, "get", module+"@v"+version); err != nil {
			return err
		}
		return goTool(ctx, dir, "build", "-o", out, module)
	})
}

// tool builds a Go tool of this module into the user's cache folder, unless it
// is there.
func tool(ctx context.Context, name, pkg string) (string, error) {
	return cached(name, func(root, out string) error {
		return goTool(ctx, filepath.Join(root, "cmd", "interop"), "build", "-o", out, pkg)
	})
}

// cached is the path of a program in the user's cache folder, which build makes
// unless it is there.
func cached(name string, build func(root, out string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "frond-interop")
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	root, err := ProductRoot()
	if err != nil {
		return "", err
	}
	// Two test binaries may build at the same time: each into its own name,
	// the rename decides.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := build(root, tmp); err != nil {
		return "", err
	}
	return path, os.Rename(tmp, path)
}

func goTool(ctx context.Context, dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo(args))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// cgo is off as in the released binaries, but the race detector needs it.
func cgo(args []string) string {
	for _, a := range args {
		if a == "-race" {
			return "1"
		}
	}
	return "0"
}
