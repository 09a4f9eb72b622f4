package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the manifests in testdata anew")

// What each kind of package installs, by path, mode and owner, is what
// testdata/manifest says, no more and no less. apk and ipk have no tool on
// Debian that installs them: this, and the scripts as text, is all that is
// known of them.
func TestManifest_of_packages(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range packs() {
		if seen[p.format] {
			continue
		}
		seen[p.format] = true
		t.Run(p.format, func(t *testing.T) {
			r, program := testRelease(t)
			if err := r.pack(&p, "x."+p.format, program); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(manifest(t, p.format, filepath.Join(r.out, "x."+p.format)), "\n") + "\n"
			file := filepath.Join("testdata", "manifest", p.format+".txt")
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(read(t, file)); got != want {
				t.Errorf("%s:\n%swant\n%s", p.format, got, want)
			}
		})
	}
}

// manifest lists the files and the scripts of a package. Licences, of which
// each module that is linked brings some, stay out.
func manifest(t *testing.T, format, file string) (list []string) {
	t.Helper()
	switch format {
	case "deb":
		tool(t, "dpkg-deb")
		for _, what := range []string{"--fsys-tarfile", "--ctrl-tarfile"} {
			out, err := exec.Command("dpkg-deb", what, file).Output()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, tarLines(t, bytes.NewReader(out))...)
		}
	case "rpm":
		tool(t, "rpm")
		out, err := exec.Command("rpm", "-qp", "--queryformat", "[%{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]"+
			"script: %|PREIN?{pre}:{}|\nscript: %|POSTIN?{post}:{}|\nscript: %|PREUN?{preun}:{}|\nscript: %|POSTUN?{postun}:{}|\n", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			list = append(list, strings.TrimSpace(l))
		}
	case "apk":
		list = tarLines(t, bytes.NewReader(unzip(t, read(t, file))))
	case "ipk":
		tarEach(t, bytes.NewReader(unzip(t, read(t, file))), func(h *tar.Header, r io.Reader) {
			if !strings.HasSuffix(h.Name, ".tar.gz") {
				return
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, tarLines(t, bytes.NewReader(unzip(t, b)))...)
		})
	}
	list = slices.DeleteFunc(list, func(l string) bool {
		return strings.Contains(l, "/doc/frond/licenses")
	})
	slices.SortFunc(list, func(a, b string) int {
		return strings.Compare(a[strings.Index(a, " ")+1:], b[strings.Index(b, " ")+1:])
	})
	return list
}

func tarLines(t *testing.T, b io.Reader) (list []string) {
	t.Helper()
	tarEach(t, b, func(h *tar.Header, _ io.Reader) {
		if h.Typeflag != tar.TypeDir {
			list = append(list, fmt.Sprintf("%o %s:%s %s", h.Mode, h.Uname, h.Gname, strings.TrimPrefix(h.Name, "./")))
		}
	})
	return list
}
