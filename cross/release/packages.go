package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk" // by its name in a table
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/ipk"
	_ "github.com/goreleaser/nfpm/v2/rpm"

	"github.com/frondmq/frond/cross/build"
)

// pack is one package: a build for a machine in a format, with the name that
// the format has for the machine.
type pack struct {
	format  string
	target  string
	variant string
	name    string
	arch    string
	note    string // added to the description
}

// packs are the packages that are made.
//
// Debian's armhf is ARMv7; Raspberry Pi OS uses the same word on the ARMv6 of
// a Pi 1 or Zero. A package for those has a name of its own, so that nobody gets
// the wrong one by an upgrade.
func packs() []pack {
	return []pack{
		{"deb", "linux-amd64", "full", "frond", "amd64", ""},
		{"deb", "linux-arm64", "full", "frond", "arm64", ""},
		{"deb", "linux-armv7", "full", "frond", "armhf", ""},
		{"deb", "linux-armv6", "edge", "frond-armv6", "armhf", "For the ARMv6 of Raspberry Pi 1, Zero and Zero W (no hub in it)."},
		{"deb", "linux-armv5", "edge", "frond", "armel", "Without the hub."},
		{"deb", "linux-riscv64", "full", "frond", "riscv64", ""},
		{"deb", "linux-386", "full", "frond", "i386", ""},
		{"rpm", "linux-amd64", "full", "frond", "x86_64", ""},
		{"rpm", "linux-arm64", "full", "frond", "aarch64", ""},
		{"apk", "linux-amd64", "full", "frond", "x86_64", ""},
		{"apk", "linux-arm64", "full", "frond", "aarch64", ""},
		{"apk", "linux-armv7", "full", "frond", "armv7", ""},
		{"apk", "linux-armv6", "edge", "frond", "armhf", "Without the hub."},
		{"ipk", "linux-mipsle", "lite", "frond", "mipsel_24kc", "Without the hub."},
		{"ipk", "linux-mips", "lite", "frond", "mips_24kc", "Without the hub."},
		{"ipk", "linux-armv7", "lite", "frond", "arm_cortex-a7_neon-vfpv4", "Without the hub."},
		{"ipk", "linux-arm64", "lite", "frond", "aarch64_cortex-a53", "Without the hub."},
		{"ipk", "linux-amd64", "edge", "frond", "x86_64", "Without the hub."},
	}
}

// file names the package in characters that every place of downloads keeps.
// Release pages make another one of the tilde in the version of a pre-release,
// and some stores read a plus as a space: then no line of the checksums finds
// its file. Package managers take the version from inside, not from the name.
func (p *pack) file(version string) string {
	version = strings.NewReplacer("~", "-", "+", "-").Replace(version)
	return fmt.Sprintf("%s_%s_%s.%s", p.name, version, p.arch, p.format)
}

func (r *release) packages() error {
	built := make(map[string][]byte)
	for _, p := range packs() {
		version, err := packageVersion(r.version, p.format)
		if err != nil {
			return err
		}
		file := p.file(version)
		if !r.only.MatchString(file) {
			continue
		}
		key := p.variant + " " + p.target
		if built[key] == nil {
			program, err := r.compilePack(&p)
			if err != nil {
				return err
			}
			built[key] = program
		}
		if err := r.pack(&p, file, built[key]); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func (r *release) compilePack(p *pack) ([]byte, error) {
	for _, t := range build.Matrix() {
		for _, v := range build.Variants() {
			if t.Name == p.target && v.Name == p.variant {
				return r.compile(v, t)
			}
		}
	}
	return nil, fmt.Errorf("no build %s for %s", p.variant, p.target)
}

// pack writes one package and its bill of materials.
func (r *release) pack(p *pack, file string, program []byte) error {
	// nfpm takes files, not bytes.
	dir, err := os.MkdirTemp("", "frond-pack")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &staging{dir: dir, at: r}
	if err := r.fill(s, p, program); err != nil {
		return err
	}
	info, err := r.info(p)
	if err != nil {
		return err
	}
	info.Contents = s.contents
	info.Scripts = r.scripts(p.format)
	info = nfpm.WithDefaults(info)
	if err := info.Validate(); err != nil {
		return err
	}
	packager, err := nfpm.Get(p.format)
	if err != nil {
		return err
	}
	if err := create(filepath.Join(r.out, file), func(w io.Writer) error { return packager.Package(info, w) }); err != nil {
		return err
	}
	r.note(file)
	if p.format == "ipk" && p.target == "linux-mipsle" {
		printInstalled(file, s.bytes)
	}
	return r.bill(file, program)
}

func (r *release) info(p *pack) (*nfpm.Info, error) {
	version, err := packageVersion(r.version, p.format)
	if err != nil {
		return nil, err
	}
	info := &nfpm.Info{
		Name: p.name, Arch: p.arch, Platform: "linux",
		Version: version, VersionSchema: "none", Release: "1",
		Section: "net", Priority: "optional", Maintainer: "frond maintainers <maintainers@frond.example>",
		Description: strings.TrimSpace("Message broker for the edge: NATS, MQTT and streams on flash.\n" + p.note),
		Homepage:    "https://github.com/frondmq/frond", License: "Apache-2.0", MTime: r.at,
		DisableGlobbing: true,
	}
	info.Umask = 0o022
	switch p.format {
	case "deb":
		info.Deb.Arch, info.Deb.Compression = p.arch, "xz"
		info.Release = ""
		if p.name != "frond" {
			info.Provides, info.Conflicts = []string{"frond"}, []string{"frond"}
		}
	case "rpm":
		info.RPM.Arch, info.RPM.Compression, info.RPM.BuildHost = p.arch, "xz", "frond"
		info.RPM.Summary = "Message broker for the edge"
	case "apk":
		info.APK.Arch = p.arch
		// An upgrade runs these instead of the ones of an install.
		info.APK.Scripts.PreUpgrade = filepath.Join(r.root, "firmware", "scripts", "preinstall.sh")
		info.APK.Scripts.PostUpgrade = filepath.Join(r.root, "firmware", "scripts", "postinstall.sh")
	case "ipk":
		info.IPK.Arch, info.Depends = p.arch, []string{"ca-bundle"}
	}
	return info, nil
}

func (r *release) scripts(format string) nfpm.Scripts {
	at := func(name string) string { return filepath.Join(r.root, "firmware", "scripts", name) }
	if format == "ipk" {
		return nfpm.Scripts{PostInstall: at("openwrt-postinstall.sh"), PreRemove: at("openwrt-preremove.sh")}
	}
	return nfpm.Scripts{
		PreInstall: at("preinstall.sh"), PostInstall: at("postinstall.sh"),
		PreRemove: at("preremove.sh"), PostRemove: at("postremove.sh"),
	}
}

// staging lays files out for nfpm.
type staging struct {
	dir      string
	at       *release
	contents files.Contents
	bytes    int64 // of all files
}

// put adds a file. kind is "" or "config|noreplace".
func (s *staging) put(to string, body []byte, mode os.FileMode, kind string) error {
	from := filepath.Join(s.dir, fmt.Sprint(len(s.contents)))
	if err := os.WriteFile(from, body, 0o600); err != nil {
		return err
	}
	s.bytes += int64(len(body))
	s.contents = append(s.contents, &files.Content{
		Source: from, Destination: to, Type: kind,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: s.at.at},
	})
	return nil
}

// copy adds a file of the repository.
func (s *staging) copy(from, to string, mode os.FileMode, kind string) error {
	body, err := os.ReadFile(filepath.Join(s.at.root, filepath.FromSlash(from)))
	if err != nil {
		return err
	}
	return s.put(to, body, mode, kind)
}

// fill lays out what a package installs.
func (r *release) fill(s *staging, p *pack, program []byte) error {
	if err := s.put("/usr/bin/frond", program, 0o755, ""); err != nil {
		return err
	}
	type file struct {
		from, to string
		mode     os.FileMode
		kind     string
	}
	const config = "config|noreplace"
	var list []file
	switch p.format {
	case "ipk":
		list = []file{
			{"firmware/openwrt/frond.init", "/etc/init.d/frond", 0o755, ""},
			{"firmware/openwrt/frond.config", "/etc/config/frond", 0o600, config},
		}
	default:
		list = []file{
			{"firmware/conf/edge.conf", "/etc/frond/frond.conf", 0o640, config},
			{"firmware/conf/edge.conf", "/usr/share/doc/frond/edge.conf", 0o644, ""},
			{"firmware/conf/hub.conf", "/usr/share/doc/frond/hub.conf", 0o644, ""},
			{"firmware/samples/fail2ban-filter.conf", "/usr/share/doc/frond/fail2ban-filter.conf", 0o644, ""},
			{"firmware/samples/logrotate", "/usr/share/doc/frond/logrotate", 0o644, ""},
			{"README.md", "/usr/share/doc/frond/README.md", 0o644, ""},
			{"LICENSE", "/usr/share/doc/frond/copyright", 0o644, ""},
		}
		if p.format == "apk" {
			list = append(list, file{"firmware/openrc/frond", "/etc/init.d/frond", 0o755, ""})
		} else {
			list = append(list, file{"firmware/systemd/frond.service", "/usr/lib/systemd/system/frond.service", 0o644, ""})
		}
	}
	for _, f := range list {
		if err := s.copy(f.from, f.to, f.mode, f.kind); err != nil {
			return err
		}
	}
	if p.format == "ipk" {
		// 16 MB of flash: the licences are beside the package, and the words are
		// in the program.
		return nil
	}
	if err := r.fillWords(s, p); err != nil {
		return err
	}
	licences, err := r.licences(program)
	if err != nil {
		return err
	}
	for _, l := range licences {
		if err := s.put("/usr/share/doc/frond/"+l.name, l.body, 0o644, ""); err != nil {
			return err
		}
	}
	return nil
}

// fillWords adds the man page and the completions, where the system of the
// format looks for them.
func (r *release) fillWords(s *staging, p *pack) error {
	man, err := gzipped(manPage(r.version, r.at))
	if err != nil {
		return err
	}
	zsh := "/usr/share/zsh/site-functions/_frond"
	if p.format == "deb" {
		zsh = "/usr/share/zsh/vendor-completions/_frond"
	}
	for _, f := range []struct {
		to   string
		body []byte
	}{
		{"/usr/share/man/man1/frond.1.gz", man},
		{"/usr/share/bash-completion/completions/frond", bashCompletion()},
		{zsh, zshCompletion()},
		{"/usr/share/fish/vendor_completions.d/frond.fish", fishCompletion()},
	} {
		if err := s.put(f.to, f.body, 0o644, ""); err != nil {
			return err
		}
	}
	return nil
}

var (
	described  = regexp.MustCompile(`^(.*)-([0-9]+)-g[0-9a-f]+$`)
	plain      = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)
	preRelease = regexp.MustCompile(`^(alpha|beta|pre|rc)(?:\.?([0-9]+))?$`)
)

// packageVersion writes the version so that package managers order it right:
// 0.2.0-rc.1 comes before 0.2.0, and commits behind a tag after it. A clone
// without a tag is older than every release. What can't be ordered in each of
// the formats is refused: an upgrade that goes backwards is found out on the
// machines.
func packageVersion(version, format string) (string, error) {
	tag, dirty := strings.CutSuffix(version, "-dirty")
	behind := ""
	if m := described.FindStringSubmatch(tag); m != nil {
		tag, behind = m[1], m[2]
	} else if dirty {
		behind = "0" // what was changed on the tag itself is not the release
	}
	base, pre, isPre := strings.Cut(tag, "-")
	if !plain.MatchString(base) {
		if strings.Contains(tag, ".") {
			return "", fmt.Errorf("version %q: packages want numbers with dots, as in 1.2.3 or 1.2.3-rc.1", version)
		}
		return "0.0.0", nil // the name of a commit
	}
	word, number := "", ""
	if isPre {
		m := preRelease.FindStringSubmatch(pre)
		if m == nil {
			return "", fmt.Errorf("version %q: apk orders no pre-release %q; it knows alpha, beta, pre and rc, with one number, as in 1.2.3-rc.1", version, pre)
		}
		word, number = m[1], m[2]
	}
	if format == "apk" {
		// Words in a fixed order: _alpha, _beta, _pre and _rc come before the
		// version, _p behind it; a number stands at its word without a dot.
		if word != "" {
			base += "_" + word + number
		}
		if behind != "" {
			base += "_p" + behind
		}
		return base, nil
	}
	if word != "" {
		base += "~" + word
		if number != "" {
			base += "." + number
		}
	}
	if behind != "" {
		base += "+" + behind
	}
	return base, nil
}
