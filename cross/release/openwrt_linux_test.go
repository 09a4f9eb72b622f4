package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// functions stand for those that OpenWrt's rc.common gives to a script: they
// answer from variables that a test sets.
const functions = `
config_load() { :; }
config_get() {
	eval "v=\${uci_$2_$3-}"
	[ -n "$v" ] || v=${4-}
	eval "$1=\$v"
}
config_foreach() { for section in $remotes; do "$1" "$section"; done; }
`

// What stands in /etc/config/frond becomes a configuration that frond takes and
// that says the same, whatever characters are in it.
func TestOpenwrt_configuration_is_translated(t *testing.T) {
	r, _ := testRelease(t)
	frond := frondFile(t)
	for name, c := range map[string]struct {
		uci  map[string]string
		want []string
	}{
		"as it is installed": {
			map[string]string{"main_listen": "127.0.0.1:4222", "main_http": "127.0.0.1:8222", "main_domain": "gateway"},
			[]string{`listen: "127.0.0.1:4222"`, `domain: "gateway"`},
		},
		"nothing set": {nil, []string{`listen: "127.0.0.1:4222"`, `http: "127.0.0.1:8222"`}},
		"all of it": {
			map[string]string{
				"main_listen": "0.0.0.0:4222", "main_mqtt": "0.0.0.0:1883", "main_domain": "east-1",
				"remotes": "a b", "a_url": "nats-leaf://u:p@hub.example:7422", "b_url": "nats-leaf://hub2.example:7422",
			},
			[]string{`listen: "0.0.0.0:1883"`, `url: "nats-leaf://hub2.example:7422"`},
		},
		"odd characters": {
			map[string]string{"main_domain": "gateway", "remotes": "a", "a_url": `nats-leaf://u:p$x'y@hub.example:7422`, "a_credentials": `/srv/a "b" \c`},
			[]string{`url: "nats-leaf://u:p$x'y@hub.example:7422"`, `credentials: "/srv/a \"b\" \\c"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := string(read(t, filepath.Join(r.root, "firmware/openwrt/frond.init")))
			script = strings.ReplaceAll(script, "/var/etc", dir)
			script = strings.ReplaceAll(script, "/usr/bin/frond", frond)
			if err := os.WriteFile(filepath.Join(dir, "init"), []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			text := functions + "uci_main_data='" + filepath.Join(dir, "data of it") + "'\nremotes=''\n"
			for k, v := range c.uci {
				if k != "remotes" {
					k = "uci_" + k
				}
				text += fmt.Sprintf("%s='%s'\n", k, strings.ReplaceAll(v, "'", `'\''`))
			}
			text += ". " + dir + "/init\ncheck\n"
			cmd := exec.Command("sh", "-c", text)
			out, err := cmd.CombinedOutput()
			conf := string(read(t, filepath.Join(dir, "frond.conf")))
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, conf)
			}
			for _, want := range append(c.want, fmt.Sprintf("store_dir: %q", filepath.Join(dir, "data of it"))) {
				if !strings.Contains(conf, want) {
					t.Errorf("no %s in\n%s", want, conf)
				}
			}
		})
	}
}

// What opkg runs, with an init script that writes down what it is asked: an
// upgrade stops nothing before it knows that the new program takes the settings.
func TestOpenwrt_upgrade_leaves_running_what_runs(t *testing.T) {
	r, _ := testRelease(t)
	for _, c := range []struct {
		script, args, env, want string
		fails                   bool
	}{
		{"openwrt-postinstall.sh", "", "PKG_UPGRADE=0", "check enable start", false},
		{"openwrt-preremove.sh", "upgrade 1.2.3-1", "PKG_UPGRADE=1", "", false},
		{"openwrt-postinstall.sh", "", "PKG_UPGRADE=1", "check enabled restart", false},
		{"openwrt-postinstall.sh", "", "PKG_UPGRADE=1 OFF=1", "check enabled", false},
		{"openwrt-postinstall.sh", "", "PKG_UPGRADE=1 BAD=1", "check", true},
		{"openwrt-postinstall.sh", "", "PKG_UPGRADE=0 BAD=1", "check", true},
		{"openwrt-preremove.sh", "", "PKG_UPGRADE=0", "stop disable", false},
		{"openwrt-postinstall.sh", "", "IPKG_INSTROOT=HERE", "", false},
	} {
		dir := t.TempDir()
		log := filepath.Join(dir, "log")
		for name, text := range map[string]string{
			"lib/functions.sh": "group_exists() { :; }\nuser_exists() { :; }\n",
			"init":             "#!/bin/sh\nprintf '%s ' \"$1\" >>" + log + "\ncase $1 in check) exit ${BAD:-0};; enabled) exit ${OFF:-0};; esac\n",
			"script": strings.NewReplacer("/etc/init.d/frond ", filepath.Join(dir, "init")+" ", "{IPKG_INSTROOT}/lib", "{IPKG_INSTROOT:-"+dir+"}/lib").
				Replace(string(read(t, filepath.Join(r.root, "firmware", "scripts", c.script)))),
			"log": "",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("sh", append([]string{filepath.Join(dir, "script")}, strings.Fields(c.args)...)...)
		cmd.Env = append(os.Environ(), strings.Fields(strings.ReplaceAll(c.env, "HERE", dir))...)
		out, err := cmd.CombinedOutput()
		if (err != nil) != c.fails || c.fails && !strings.Contains(string(out), "was not (re)started") {
			t.Errorf("%s %s, %s: %v\n%s", c.script, c.args, c.env, err, out)
		}
		if got := strings.TrimSpace(string(read(t, log))); got != c.want {
			t.Errorf("%s %s, %s: the service was asked %q, want %q", c.script, c.args, c.env, got, c.want)
		}
	}
}
