package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// around says where the keys of each section stand in a file. CERT2 and KEY2
// are other files than CERT and KEY of the examples.
var around = map[string]string{
	"":                                       "%s",
	"authorization":                          "authorization { %s }",
	"authorization.users[]":                  "authorization { users [ {user: a, %s} ] }",
	"permissions":                            "authorization { users [ {user: a, permissions { %s } } ] }",
	"permissions.publish":                    "authorization { users [ {user: a, permissions { publish { %s } } } ] }",
	"permissions.allow_responses":            "authorization { users [ {user: a, permissions { allow_responses { %s } } } ] }",
	"unix_socket":                            "unix_socket { path: /run/y.sock, %s }",
	"unix_socket.users[]":                    "unix_socket { path: /run/y.sock, users [ { uid: 7, user: a, %s } ] }",
	"tls":                                    "tls { cert_file: CERT2, key_file: KEY2, %s }",
	"tls.certs[]":                            "tls { certs [ { cert_file: CERT2, key_file: KEY2, %s } ] }",
	"jetstream":                              "jetstream { %s }",
	"jetstream.limits":                       "jetstream { limits { %s } }",
	"leafnodes":                              "leafnodes { %s }",
	"leafnodes.authorization":                "leafnodes { authorization { %s } }",
	"leafnodes.authorization.users[]":        "leafnodes { authorization { users [ {user: a, %s} ] } }",
	"leafnodes.remotes[]":                    "leafnodes { remotes [ {url: \"nats://x\", %s} ] }",
	"compression":                            "leafnodes { compression { %s } }",
	"mqtt":                                   "mqtt { %s }",
	"mqtt.authorization":                     "mqtt { authorization { %s } }",
	"mqtt.listeners[]":                       "mqtt { listeners [ {port: 9, %s} ] }",
	"mqtt.listeners[].authorization":         "mqtt { listeners [ {port: 9, authorization { %s }} ] }",
	"mqtt.listeners[].authorization.users[]": "mqtt { listeners [ {port: 9, authorization { users [ {user: a, %s} ] }} ] }",
	"websocket":                              "websocket { %s }",
	"websocket.authorization":                "websocket { authorization { %s } }",
	"accounts[]":                             "accounts { A { %s } }",
	"accounts[].limits":                      "accounts { A { limits { %s } } }",
	"accounts[].jetstream":                   "accounts { A { jetstream { %s } } }",
	"accounts[].exports[]":                   "accounts { A { exports [ {service: \"a.*\", %s} ] } }",
	"accounts[].exports[]/stream":            "accounts { A { exports [ { %s } ] } }",
	"accounts[].exports[]/service":           "accounts { A { exports [ { %s } ] } }",
	"accounts[].imports[]":                   "accounts { A { imports [ {stream: {account: B, subject: d}, %s} ] } }",
	"accounts[].imports[]/stream":            "accounts { A { imports [ { %s } ] } }",
	"accounts[].imports[]/service":           "accounts { A { imports [ { %s } ] } }",
	"tls/certs":                              "tls { %s }",
	"authorization.users[]/nkey":             "authorization { users [ { %s } ] }",
}

// testCerts writes a certificate under the names that examples use.
func testCerts(t *testing.T) *strings.Replacer {
	t.Helper()
	dir := t.TempDir()
	cert, key := selfSigned(t)
	var pairs []string
	for _, n := range []string{"CERT2", "KEY2", "CERT", "KEY"} {
		path := filepath.Join(dir, n+".pem")
		text := cert
		if strings.HasPrefix(n, "KEY") {
			text = key
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, n, fmt.Sprintf("%q", path))
	}
	return strings.NewReplacer(pairs...)
}

func TestTables_everyKeyDoesWhatItsRowSays(t *testing.T) {
	files := testCerts(t)
	for _, sec := range Reference() {
		wrap, ok := around[sec.Name]
		if !ok {
			t.Errorf("section %q is not in the table of this test", sec.Name)
			continue
		}
		seen := make(map[string]bool)
		for _, k := range sec.Keys {
			for _, name := range append([]string{k.Name}, k.Aliases...) {
				t.Run(sec.Name+"."+name, func(t *testing.T) {
					if seen[name] {
						t.Fatal("the name is there twice")
					}
					seen[name] = true
					w := wrap
					if special, ok := around[sec.Name+"/"+k.Name]; ok {
						w = special
					}
					checkRow(t, files, w, sec.Name, name, k)
				})
			}
		}
	}
}

func checkRow(t *testing.T, files *strings.Replacer, wrap, section, name string, k Key) {
	parse := func(key string) (*Options, []Warning, error) {
		// The name is written in capitals: keys have no case.
		text := fmt.Sprintf(files.Replace(wrap), key)
		return Parse("a.conf", []byte(text), Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
	}
	value := files.Replace(k.Example)
	if value == "" {
		value = "x"
	}
	o, warns, err := parse(strings.ToUpper(name) + ": " + value)
	switch k.Status {
	case NotYet:
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not supported yet", strings.ToUpper(name))) {
			t.Errorf("got %v", err)
		}
	case Ignored:
		if err != nil || len(warns) != 1 || !warns[0].Ignored || k.Why == "" {
			t.Errorf("got %v, %v, reason %q", err, warns, k.Why)
		}
	case Supported:
		if err != nil || len(warns) != 0 {
			t.Fatalf("got %v, %v", err, warns)
		}
		if k.Type == "" || k.Example == "" {
			t.Errorf("the row says too little: %+v", k)
		}
		base, _, err := parse("")
		var old []string
		if err == nil {
			old = dump(base)
		} else {
			old = dump(Defaults()) // the block needs the key
		}
		if now := dump(o); slices.Equal(withoutDigest(old), withoutDigest(now)) {
			t.Errorf("%s: %s changes nothing", name, value)
		}
	}
}

func withoutDigest(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "Digest") })
}

func TestTables_refuseWrongTypes(t *testing.T) {
	files := testCerts(t)
	for _, sec := range Reference() {
		for _, k := range sec.Keys {
			if k.Status != Supported {
				continue
			}
			// No key takes a date.
			text := fmt.Sprintf(files.Replace(around[sec.Name]), k.Name+": 2020-01-02T03:04:05Z")
			_, _, err := Parse("a.conf", []byte(text), Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
			var one *Error
			if !errors.As(err, &one) || one.Pos.Line != 1 || one.Pos.Col == 0 {
				t.Errorf("%s.%s: got %v", sec.Name, k.Name, err)
			}
		}
	}
}

func TestPos_namesThePlaceOfAnOption(t *testing.T) {
	o, _, err := Parse("a.conf", []byte("port: 1\nmqtt {\n  net: x\n}\nleafnodes { remotes [\n {urls: [\"nats://a\"]} ] }\n"), Source{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"port":                     "a.conf:1:1",
		"mqtt":                     "a.conf:2:1",
		"mqtt.host":                "a.conf:3:3",
		"leafnodes.remotes[0]":     "a.conf:6:2",
		"leafnodes.remotes[0].url": "a.conf:6:3",
	} {
		if got := o.Pos(path).String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if !o.Pos("debug").IsZero() {
		t.Errorf("debug has a place: %v", o.Pos("debug"))
	}
}
