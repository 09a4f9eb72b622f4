package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/core/servertest"
)

// frond damage shows what the server on a folder tells, and says clearly what
// is wrong with a call.
func TestDamage_command(t *testing.T) {
	dir := t.TempDir()
	strange := filepath.Join(dir, "jetstream", "streams", "5")
	if err := os.MkdirAll(strange, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(strange, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "frond.conf")
	if err := os.WriteFile(file, []byte("jetstream { store_dir: \""+filepath.ToSlash(dir)+"\" }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"damage"}, args...), &out, &errs)
		return code, out.String() + errs.String()
	}
	expect := func(code int, want string, args ...string) {
		t.Helper()
		if got, text := call(args...); got != code || !strings.Contains(text, want) {
			t.Errorf("damage %q: exit %d: %q, want %d with %q", args, got, text, code, want)
		}
	}
	expect(0, "Usage: frond damage")
	expect(1, "no server runs on this folder: with one it is told here; frond store check "+dir, "ls", "--data", dir)
	servertest.Start(t, servertest.With(func(o *config.Options) {
		o.JetStream.Enabled, o.JetStream.StoreDir, o.JetStream.MaxStore = true, dir, 1<<30
	}))
	expect(0, "quarantine", "ls", "--data", dir)
	expect(0, `"kind":"quarantine"`, "ls", "--json", "-c", file)
	expect(1, "no such damage", "ack", "99", "--data", dir)
	expect(1, `"x" is no number of a damage`, "ack", "x", "--data", dir)
	expect(1, `"mend 1" is not known`, "mend", "1", "--data", dir)
	expect(1, "flag provided but not defined", "ls", "--nonsense")
	expect(0, "acknowledged", "--data", dir, "ack", "1")
	expect(0, "no damage", "ls", "--data", dir)
	expect(0, "nothing to acknowledge", "ack", "all", "--data", dir)
	expect(0, "acknowledged", "ls", "--all", "--data", dir)
}

// What is lost is written in small letters, as all of an entry, and read as
// registers wrote it before.
func TestDamage_lostInJSON(t *testing.T) {
	var d jetstream.Damage
	if err := json.Unmarshal([]byte(`{"lost":[{"First":106,"Last":202}]}`), &d); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(&d)
	if err != nil || !strings.Contains(string(text), `"lost":[{"first":106,"last":202}]`) {
		t.Errorf("%s, %v", text, err)
	}
}
