package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/frondmq/frond/cross/build"
)

// contents is what an archive holds: the program, what to read, what to
// install, and the licences of what is linked in.
func (r *release) contents(goos string, program []byte) ([]entry, error) {
	name := "frond"
	if goos == "windows" {
		name = "frond.exe"
	}
	files := []entry{{name: name, body: program, exec: true}}
	for _, f := range []string{"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"} {
		body, err := os.ReadFile(filepath.Join(r.root, f))
		if err != nil {
			return nil, err
		}
		files = append(files, entry{name: f, body: body})
	}
	shared, err := r.folder("firmware/conf", "conf")
	if err != nil {
		return nil, err
	}
	files = append(files, shared...)
	if goos == "linux" {
		for _, dir := range []string{"systemd", "openrc", "openwrt", "samples"} {
			more, err := r.folder("firmware/"+dir, dir)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
	}
	files = append(files, r.words()...)
	licences, err := r.licences(program)
	if err != nil {
		return nil, err
	}
	return append(files, licences...), nil
}

// words are the man page and the completions of shells.
func (r *release) words() []entry {
	return []entry{
		{name: "man/frond.1", body: manPage(r.version, r.at)},
		{name: "completions/frond.bash", body: bashCompletion()},
		{name: "completions/_frond", body: zshCompletion()},
		{name: "completions/frond.fish", body: fishCompletion()},
	}
}

// folder takes all files of a folder of the repository.
func (r *release) folder(from, to string) ([]entry, error) {
	names, err := os.ReadDir(filepath.Join(r.root, filepath.FromSlash(from)))
	if err != nil {
		return nil, err
	}
	var files []entry
	for _, n := range names {
		body, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(from), n.Name()))
		if err != nil {
			return nil, err
		}
		// What begins with #! is run; the checkout's own bits may be anything.
		files = append(files, entry{name: to + "/" + n.Name(), body: body, exec: bytes.HasPrefix(body, []byte("#!"))})
	}
	return files, nil
}

// module is one that is linked into a program.
type module struct{ path, version string }

// linked names the modules in a program, as it says itself.
func linked(program []byte) ([]module, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	var list []module
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		list = append(list, module{d.Path, d.Version})
	}
	return list, nil
}

// licences takes the licence files of every module in the program, and Go's.
func (r *release) licences(program []byte) ([]entry, error) {
	mods, err := linked(program)
	if err != nil {
		return nil, err
	}
	out, err := goCommand(r.root, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	goLicence, err := os.ReadFile(filepath.Join(strings.TrimSpace(out), "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("licence of Go: %w", err)
	}
	files := []entry{{name: "licenses/go/LICENSE", body: goLicence}}
	for _, m := range mods {
		dir, err := goCommand(r.root, "list", "-m", "-f", "{{.Dir}}", m.path)
		if err != nil {
			return nil, err
		}
		names, err := os.ReadDir(strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		found := false
		for _, n := range names {
			if !isLicence.MatchString(n.Name()) || n.IsDir() {
				continue
			}
			body, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), n.Name()))
			if err != nil {
				return nil, err
			}
			found = true
			files = append(files, entry{name: "licenses/" + m.path + "/" + n.Name(), body: body})
		}
		if !found {
			return nil, fmt.Errorf("module %s %s has no licence file: it can't be given to anybody", m.path, m.version)
		}
	}
	return files, nil
}

var isLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.[a-z]+)?$`)

func goCommand(dir string, args ...string) (string, error) {
	cmd := exec.Command(build.Go(), args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
