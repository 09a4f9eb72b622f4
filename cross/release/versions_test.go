package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apk "github.com/knqyf263/go-apk-version"
)

func TestPackageVersion_as_each_format_writes_it(t *testing.T) {
	for _, x := range []struct{ version, deb, apk string }{
		{"0.2.0", "0.2.0", "0.2.0"},
		{"0.2.0-rc.1", "0.2.0~rc.1", "0.2.0_rc1"},
		{"0.2.0-rc1", "0.2.0~rc.1", "0.2.0_rc1"},
		{"0.2.0-beta", "0.2.0~beta", "0.2.0_beta"},
		{"0.2.0-12-gabcdef0", "0.2.0+12", "0.2.0_p12"},
		{"0.2.0-rc.1-3-gabcdef0-dirty", "0.2.0~rc.1+3", "0.2.0_rc1_p3"},
		{"0.2.0-dirty", "0.2.0+0", "0.2.0_p0"},
		{"7cf5979", "0.0.0", "0.0.0"},
		{"7cf5979-dirty", "0.0.0", "0.0.0"},
		{"unknown", "0.0.0", "0.0.0"},
	} {
		for _, format := range []string{"deb", "rpm", "ipk", "apk"} {
			want := x.deb
			if format == "apk" {
				want = x.apk
			}
			if got, err := packageVersion(x.version, format); err != nil || got != want {
				t.Errorf("%s as %s: %q, %v, want %q", x.version, format, got, err, want)
			}
		}
	}
	for _, bad := range []string{"0.2.0-rc.1.2", "0.2.0-dev.1", "0.2.0-", "0.2.0+7", "0..2", "2.x", "0.2.0-rc.-1", "0.2.0-RC.1", "0.2.0_rc1"} {
		for _, format := range []string{"deb", "apk"} {
			if got, err := packageVersion(bad, format); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
				t.Errorf("%s as %s: %q, %v", bad, format, got, err)
			}
		}
	}
}

// ordered are versions from the oldest to the newest.
var ordered = []string{
	"1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-beta.1", "1.0.0-rc.1", "1.0.0-rc.1-4-gabcdef0", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0",
	"1.0.0-dirty", "1.0.0-7-gabcdef0", "1.0.0-12-gabcdef0", "1.0.1-rc.1", "1.0.1", "1.2.0", "1.10.0",
}

// What stands in the packages is ordered by the package managers as the releases
// are: a pre-release before its release, commits behind a tag after it.
func TestPackageVersion_is_ordered_by_package_managers(t *testing.T) {
	for _, x := range []struct {
		format, tool string
		build        string // what the packer adds behind the version
		inside       func(t *testing.T, file string) string
		older        func(t *testing.T, a, b string) bool
	}{
		{"deb", "dpkg", "", func(t *testing.T, file string) string { return output(t, "dpkg-deb", "-f", file, "Version") }, olderDebian},
		{"rpm", "rpm", "-1", func(t *testing.T, file string) string {
			return output(t, "rpm", "-qp", "--queryformat", "%{VERSION}-%{RELEASE}", file)
		}, olderRPM},
		{"apk", "", "-r1", func(t *testing.T, file string) string { return apkField(t, file, "pkgver = ") }, olderAlpine},
		// opkg has dpkg's order.
		{"ipk", "dpkg", "-1", func(t *testing.T, file string) string { return ipkField(t, file, "Version: ") }, olderDebian},
	} {
		t.Run(x.format, func(t *testing.T) {
			if x.tool != "" {
				tool(t, x.tool)
			}
			written := func(version string) string {
				v, err := packageVersion(version, x.format)
				if err != nil {
					t.Fatal(err)
				}
				return v + x.build
			}
			r, program := testRelease(t)
			r.version = "1.0.0-rc.1-4-gabcdef0"
			for _, p := range packs() {
				if p.format != x.format {
					continue
				}
				if err := r.pack(&p, "x."+p.format, program); err != nil {
					t.Fatal(err)
				}
				break
			}
			if got, want := x.inside(t, filepath.Join(r.out, "x."+x.format)), written(r.version); got != want {
				t.Errorf("in the package stands %s, want %s", got, want)
			}
			for i := 1; i < len(ordered); i++ {
				a, b := written(ordered[i-1]), written(ordered[i])
				if !x.older(t, a, b) || x.older(t, b, a) {
					t.Errorf("%s is not older than %s", a, b)
				}
			}
		})
	}
}

// What is downloaded has the name that the checksums say: none of its characters
// is one that places of downloads replace, and no two versions share a name.
func TestPack_file_is_named_the_same_everywhere(t *testing.T) {
	kept := regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]*$`)
	names := make(map[string]string)
	for _, version := range ordered {
		for _, p := range packs() {
			inside, err := packageVersion(version, p.format)
			if err != nil {
				t.Fatal(err)
			}
			name := p.file(inside)
			if !kept.MatchString(name) {
				t.Errorf("%s is called something else once it was uploaded", name)
			}
			if other := names[name]; other != "" {
				t.Errorf("%s is of %s and of %s", name, other, version)
			}
			names[name] = version
		}
	}
	amd64 := packs()[0]
	if got, want := amd64.file("1.0.0~rc.1"), "frond_1.0.0-rc.1_amd64.deb"; got != want {
		t.Errorf("a pre-release is called %s, want %s", got, want)
	}
}

func TestRelease_takes_a_version_that_names_can_hold(t *testing.T) {
	for _, version := range []string{"v1.0.0", "1.0.0-rc.1", "7cf5979-dirty", "unknown"} {
		if r, err := newRelease(version, t.TempDir(), "", ""); err != nil || r.version != strings.TrimPrefix(version, "v") {
			t.Errorf("%q: %v", version, err)
		}
	}
	for _, version := range []string{"1.0.0+7", "1.0.0~rc.1", "core/v1.0.0", "v", "-1", "1.0 0", "1.0.0\n"} {
		if _, err := newRelease(version, t.TempDir(), "", ""); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", version)) {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func olderDebian(t *testing.T, a, b string) bool {
	t.Helper()
	output(t, "dpkg", "--validate-version", a)
	return exec.Command("dpkg", "--compare-versions", a, "lt", b).Run() == nil
}

func olderRPM(t *testing.T, a, b string) bool {
	t.Helper()
	return output(t, "rpm", "--eval", fmt.Sprintf("%%{lua: print(rpm.vercmp(%q, %q))}", a, b)) == "-1"
}

// alpine is the grammar that apk's manual gives (apk-package, "version"), and
// that its reader keeps to.
var alpine = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(~[0-9a-f]+)?(-r[0-9]+)?$`)

func olderAlpine(t *testing.T, a, b string) bool {
	t.Helper()
	for _, v := range []string{a, b} {
		if !alpine.MatchString(v) || !apk.Valid(v) {
			t.Errorf("apk takes no version %s", v)
		}
	}
	return apk.Version(a).LessThan(apk.Version(b))
}

// apkField reads a line of .PKGINFO.
func apkField(t *testing.T, file, key string) string {
	t.Helper()
	return field(t, tarFile(t, bytes.NewReader(unzip(t, read(t, file))), ".PKGINFO"), key)
}

// ipkField reads a line of control.
func ipkField(t *testing.T, file, key string) string {
	t.Helper()
	inner := tarFile(t, bytes.NewReader(unzip(t, read(t, file))), "control.tar.gz")
	return field(t, tarFile(t, bytes.NewReader(unzip(t, inner)), "control"), key)
}

func tarFile(t *testing.T, r io.Reader, name string) []byte {
	t.Helper()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("no %s: %v", name, err)
		}
		if strings.TrimPrefix(h.Name, "./") == name {
			b, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
}

func field(t *testing.T, text []byte, key string) string {
	t.Helper()
	_, rest, found := strings.Cut("\n"+string(text), "\n"+key)
	if !found {
		t.Fatalf("no %q:\n%s", key, text)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
