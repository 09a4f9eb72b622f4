// Command release cross-compiles frond for every machine and packs tarballs
// with LICENSE and README into dist/, with their checksums.
//
// What for: `make release`. What not: it signs and uploads nothing. The same
// commit gives the same bytes: paths, times and owners are fixed. Where to
// start: main.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/cross/build"
)

func main() {
	version := flag.String("version", "", "version in names and in the binaries; default: git describe")
	flag.Parse()
	if err := run(*version); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(version string) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	if version == "" {
		version = git(root, "describe", "--tags", "--always", "--dirty")
	}
	version = strings.TrimPrefix(version, "v")
	dist := filepath.Join(root, "dist")
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	sums, err := os.Create(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		return err
	}
	defer sums.Close()
	at := commitTime(root)
	for _, v := range []build.Variant{build.Full(), build.Edge()} {
		for _, t := range build.Targets() {
			name := fmt.Sprintf("%s-%s-%s", v.File, version, t.Name)
			binary := filepath.Join(dist, name)
			o := v.For(t, root, binary)
			o.Version = version
			if err := build.Run(o); err != nil {
				return err
			}
			sum, err := pack(filepath.Join(dist, name+".tar.gz"), name, at, map[string]string{
				"frond": binary, "LICENSE": filepath.Join(root, "LICENSE"), "README.md": filepath.Join(root, "README.md")})
			if err != nil {
				return err
			}
			if err := os.Remove(binary); err != nil {
				return err
			}
			fmt.Fprintf(sums, "%x  %s.tar.gz\n", sum, name)
			fmt.Printf("dist/%s.tar.gz\n", name)
		}
	}
	return sums.Close()
}

func git(root string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// commitTime is the time in the tarballs; without git it is the epoch.
func commitTime(root string) time.Time {
	s, err := strconv.ParseInt(git(root, "log", "-1", "--format=%ct"), 10, 64)
	if err != nil {
		s = 0
	}
	return time.Unix(s, 0).UTC()
}

// pack writes one tarball whose files lie in a folder dir, and returns its
// checksum.
func pack(file, dir string, at time.Time, files map[string]string) (sum []byte, err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	h := sha256.New()
	gz, err := gzip.NewWriterLevel(io.MultiWriter(f, h), gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(gz)
	for _, name := range []string{"frond", "LICENSE", "README.md"} {
		if err := add(w, dir+"/"+name, files[name], at, name == "frond"); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

func add(w *tar.Writer, name, from string, at time.Time, executable bool) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if executable {
		mode = 0o755
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(body)), ModTime: at, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}
