package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two people who release the same commit get the same bytes, whatever their
// machines are called, wherever they work, and whatever they built before.
func TestSoak_release_is_the_same_elsewhere(t *testing.T) {
	soak(t)
	tool(t, "git")
	tool(t, "unshare")
	if os.Getuid() != 0 {
		t.Skip("not root: the host name can't be another one")
	}
	r, _ := testRelease(t)
	cache, err := goCommand(r.root, "env", "GOMODCACHE")
	if err != nil {
		t.Fatal(err)
	}
	commit := r.git("rev-parse", "HEAD") // of both, should somebody commit meanwhile
	const targets = "^frond(-edge-lite-[^-]*-linux-mipsle|-edge-[^l-][^-]*-linux-armv6|-[^e][^-]*-windows-amd64)$"
	var outs []string
	for _, place := range []struct{ dir, zone, mask, host string }{
		{"a", "Asia/Kathmandu", "022", "one"},
		{"b/elsewhere", "America/St_Johns", "077", "another.example"},
	} {
		top := filepath.Join(t.TempDir(), place.dir)
		clone, out := filepath.Join(top, "frond"), filepath.Join(top, "out")
		sh := "set -e\numask " + place.mask + "\nhostname " + place.host + "\nmkdir -p " + top + "/home\ngit clone -q " + r.root + " " + clone + "\ngit -C " + clone + " checkout -q " + commit +
			"\ncd " + clone + "/cross/release\ngo run . archives -out " + out + " -only '" + targets + "'\n"
		cmd := exec.Command("unshare", "--uts", "sh", "-c", sh)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + top + "/home", "GOCACHE=" + top + "/cache", "TZ=" + place.zone,
			// The modules are those of this machine; nothing is fetched.
			"GOPROXY=file://" + strings.TrimSpace(cache) + "/cache/download", "GOMODCACHE=" + top + "/mod", "GOFLAGS=-modcacherw", "GONOSUMDB=*",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		}
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		t.Logf("%s", text)
		outs = append(outs, out)
	}
	first, second := read(t, filepath.Join(outs[0], sumsName)), read(t, filepath.Join(outs[1], sumsName))
	if n := bytes.Count(first, []byte("\n")); n != 6 {
		t.Errorf("%d files were made, want three archives and their bills:\n%s", n, first)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("one place:\n%sthe other:\n%s", first, second)
	}
}
