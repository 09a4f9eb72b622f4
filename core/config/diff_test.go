package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// diffText is what runs of the stories print: a line for each change.
func diffText(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		pos := "-"
		if !c.Pos.IsZero() {
			pos = c.Pos.String()
		}
		fmt.Fprintf(&b, "%s: %s -> %s (%s) %s\n", c.Path, c.Old, c.New, c.Reload, pos)
	}
	return b.String()
}

// The first text of a story is the old file, the file "to.conf" the new one.
func TestDiff_stories(t *testing.T) {
	runStories(t, "diff.txt", func(s *story) string {
		from, _, err := Parse("from.conf", []byte(s.text), s.source())
		if err != nil {
			return err.Error()
		}
		to, _, err := Parse("to.conf", []byte(s.files["to.conf"]), s.source())
		if err != nil {
			return err.Error()
		}
		changes := Diff(from, to)
		out := diffText(changes)
		if err := Refused(changes, ""); err != nil {
			out += err.Error()
		}
		if out == "" {
			return "nothing"
		}
		return out
	})
}

// Every key says what a reload makes of it, and what it sets is seen by Diff
// under its name and with that answer.
func TestDiff_seesEveryKey(t *testing.T) {
	files := testCerts(t)
	for _, sec := range Reference() {
		for _, k := range sec.Keys {
			t.Run(sec.Name+"."+k.Name, func(t *testing.T) {
				if (k.Status == Supported) == (k.Reload == Never) || k.Reload.String() == "" {
					t.Fatalf("reload is %q", k.Reload)
				}
				if k.Status == Supported {
					checkDiff(t, files, sec.Name, k)
				}
			})
		}
	}
}

// written are keys that are a way to write others, or are the names in a list.
var written = map[string]string{
	".listen": "host port", ".trace_verbose": "trace", ".http": "http_port http", ".https": "https_port http",
	".store_dir": "jetstream.store_dir", "leafnodes.listen": "leafnodes.host leafnodes.port",
	"mqtt.listen":      "mqtt.host mqtt.port mqtt",
	"websocket.listen": "websocket.host websocket.port",
	".unix_socket":     "unix_socket.path", "mqtt.unix_socket": "mqtt mqtt.unix_socket.path",
	"unix_socket.users[].uid": "unix_socket.users", "unix_socket.users[].gid": "unix_socket.users", "unix_socket.users[].user": "unix_socket.users",
	"accounts[].exports[].stream": "accounts accounts[A].exports", "accounts[].exports[].service": "accounts accounts[A].exports", "accounts[].exports[].accounts": "accounts accounts[A].exports", "accounts[].exports[].response": "accounts accounts[A].exports", "accounts[].exports[].threshold": "accounts accounts[A].exports", "accounts[].exports[].response_max_time": "accounts accounts[A].exports", "accounts[].exports[].account_token_position": "accounts accounts[A].exports",
	"accounts[].exports[].latency": "accounts accounts[A].exports",
	"accounts[].imports[].stream":  "accounts accounts[A].imports", "accounts[].imports[].service": "accounts accounts[A].imports", "accounts[].imports[].prefix": "accounts accounts[A].imports", "accounts[].imports[].to": "accounts accounts[A].imports", "accounts[].imports[].share": "accounts accounts[A].imports",
	"authorization.users[].user": "authorization.users", "mqtt.listeners[].authorization.users[].user": "mqtt.listeners[0.0.0.0:9].authorization.users",
	"leafnodes.authorization.users[].user": "leafnodes.authorization.users",
	"mqtt.listeners[].name":                "mqtt.listeners", "mqtt.listeners[].listen": "mqtt.listeners", "mqtt.listeners[].host": "mqtt.listeners", "mqtt.listeners[].port": "mqtt.listeners",
	"tls.certs[].cert_file": "tls.certs", "tls.certs[].key_file": "tls.certs",
	"leafnodes.remotes[].url": "leafnodes.remotes", "leafnodes.remotes[].credentials": "leafnodes.remotes", "leafnodes.remotes[].account": "leafnodes.remotes",
}

func checkDiff(t *testing.T, files *strings.Replacer, section string, k Key) {
	wrap := around[section]
	if special, ok := around[section+"/"+k.Name]; ok {
		wrap = special
	}
	parse := func(key string) (*Options, error) {
		o, _, err := Parse("a.conf", []byte(fmt.Sprintf(files.Replace(wrap), key)), Source{ReadFile: os.ReadFile, Env: os.LookupEnv})
		return o, err
	}
	to, err := parse(k.Name + ": " + files.Replace(k.Example))
	if err != nil {
		t.Fatal(err)
	}
	from, err := parse("")
	if err != nil {
		from = Defaults() // the block needs the key
	}
	changes := Diff(from, to)
	if len(changes) == 0 {
		t.Fatalf("no change is seen from %v to %v", from, to)
	}
	if len(Diff(to, to)) != 0 || len(Diff(to, from)) == 0 {
		t.Errorf("same: %v, back: %v", Diff(to, to), Diff(to, from))
	}
	for _, c := range changes {
		if c.Old == c.New && c.New != masked {
			t.Errorf("%+v says nothing", c)
		}
		if c.Pos.IsZero() {
			t.Errorf("%+v has no place", c)
		}
	}
	if special, ok := written[section+"."+k.Name]; ok {
		for _, c := range changes {
			if !slices.Contains(strings.Fields(special), c.Path) {
				t.Errorf("%s is not one of %s", c.Path, special)
			}
		}
		return
	}
	// The key itself, or the block that it is the first of.
	if last := changes[len(changes)-1]; last.Reload != k.Reload && last.Path[strings.LastIndex(last.Path, ".")+1:] == k.Name {
		t.Errorf("%+v, the row says %s", last, k.Reload)
	}
	if err == nil {
		if !slices.ContainsFunc(changes, func(c Change) bool {
			return c.Path == k.Name || strings.HasSuffix(c.Path, "."+k.Name) || strings.Contains(c.Path, k.Name+".")
		}) {
			t.Errorf("%v, not by the name of the key", changes)
		}
	}
}

// Each field of Options has a key, and each key is one of the tables.
func TestOptions_fieldsNameTheirKeys(t *testing.T) {
	known := map[string]bool{}
	for _, s := range Reference() {
		for _, k := range s.Keys {
			if k.Status == Supported {
				known[k.Name] = true
			}
		}
	}
	seen := map[reflect.Type]bool{}
	count := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[Options]().PkgPath() || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			tag, ok := f.Tag.Lookup("key")
			if !ok {
				t.Errorf("%s.%s names no key", typ, f.Name)
			}
			for _, n := range strings.Fields(tag) {
				if n != "-" && n != "on!" && n != "secret!" && !known[strings.TrimPrefix(n, "/")] {
					t.Errorf("%s.%s: no table has a key %q", typ, f.Name, n)
				}
			}
			count++
			if tag != "-" {
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Options]())
	if count < 100 {
		t.Errorf("%d fields", count)
	}
}
