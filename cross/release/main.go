package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/cross/build"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one run.
type release struct {
	root    string // of the repository
	out     string
	version string // without a leading v
	at      time.Time
	only    *regexp.Regexp
	key     string
	public  string   // file of the public key that users verify with
	made    []string // files in out, as they were made
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to make: archives, packages or container")
	}
	fs := flag.NewFlagSet("release", flag.ContinueOnError)
	version := fs.String("version", "", "version in names and binaries; default: git describe")
	out := fs.String("out", "", "folder of what is made; default: dist in the repository")
	only := fs.String("only", "", "regular expression of the names to make")
	key := fs.String("key", "", "file of a minisign secret key; without one nothing is signed")
	public := fs.String("public", "", "file of the public key that the signature is for; default: "+publicKey+", if it is there")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	r, err := newRelease(*version, *out, *only, *key)
	if err != nil {
		return err
	}
	if *public != "" {
		r.public = *public
	}
	switch args[0] {
	case "archives":
		err = r.archives()
	case "packages":
		err = r.packages()
	case "container":
		err = r.container()
	default:
		err = fmt.Errorf("%q can't be made: archives, packages or container", args[0])
	}
	if err != nil {
		return err
	}
	return r.sums()
}

// nameable is what may stand in a tag of an image, which is less than in the
// name of a file that places of downloads leave as it is.
var nameable = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._-]*$`)

func newRelease(version, out, only, key string) (*release, error) {
	root, err := build.Root()
	if err != nil {
		return nil, err
	}
	r := &release{root: root, out: out, key: key}
	if name := filepath.Join(root, filepath.FromSlash(publicKey)); exists(name) {
		r.public = name
	}
	if r.only, err = regexp.Compile(only); err != nil {
		return nil, err
	}
	if version == "" {
		// Of itself git takes as many digits as the clone has commits for.
		version = r.git("describe", "--tags", "--always", "--dirty", "--abbrev=12")
	}
	r.version = strings.TrimPrefix(version, "v")
	if !nameable.MatchString(r.version) {
		return nil, fmt.Errorf("version %q goes into names of files and into the tag of the image: letters, digits, '.', '_' and '-' only", version)
	}
	if r.out == "" {
		r.out = filepath.Join(root, "dist")
	}
	seconds, err := strconv.ParseInt(r.git("log", "-1", "--format=%ct"), 10, 64)
	if err != nil {
		seconds = 0 // no repository: the epoch
	}
	r.at = time.Unix(seconds, 0).UTC()
	return r, os.MkdirAll(r.out, 0o755)
}

func (r *release) git(args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.root
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// note remembers a file that was made, for the checksums.
func (r *release) note(name string) {
	r.made = append(r.made, name)
	fmt.Println(filepath.Join(r.out, name))
}

// compile builds a variant for a machine, and returns the bytes.
func (r *release) compile(v build.Variant, t build.Target) ([]byte, error) {
	dir, err := os.MkdirTemp("", "frond-release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "frond")
	o := v.For(t, r.root, file)
	o.Version = r.version
	if err := build.Run(o); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// archives makes one for each machine and each build that is of use there.
func (r *release) archives() error {
	for _, t := range build.Matrix() {
		if err := measured(t.Name, func() error { return r.archivesOf(t) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) archivesOf(t build.Target) error {
	for _, v := range t.Builds() {
		name := fmt.Sprintf("%s-%s-%s", v.File, r.version, t.Name)
		if !r.only.MatchString(name) {
			continue
		}
		program, err := r.compile(v, t)
		if err != nil {
			return err
		}
		if err := r.archive(name, t, program); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *release) archive(name string, t build.Target, program []byte) error {
	files, err := r.contents(t.OS(), program)
	if err != nil {
		return err
	}
	write, ending := writeTarGz, ".tar.gz"
	if t.OS() == "windows" {
		write, ending = writeZip, ".zip"
	}
	if err := write(filepath.Join(r.out, name+ending), name, r.at, files); err != nil {
		return err
	}
	r.note(name + ending)
	return r.bill(name+ending, program)
}
