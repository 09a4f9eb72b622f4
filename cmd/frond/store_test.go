package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/servertest"
	"github.com/frondmq/frond/core/transport"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
	"github.com/frondmq/frond/edgestore/vfs"
)

// frond store says what is in the folders of streams and what is damaged, dumps
// what can be read, and makes new files of it.
func TestStore_command(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "jetstream", "streams", "7")
	blobs := new(edgestoretest.Blobs)
	s, err := edgestore.OpenFileStore(edgestore.FileOptions{Dir: dir, Incarnation: 7, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 200; seq++ {
		m := edgestore.Msg{Seq: seq, Time: int64(seq), Subject: "s", Body: fmt.Appendf(nil, "body %d, %0400d", seq, seq)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
	}
	s.Seal(200, edgestore.Chain{}, nil)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"store"}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	expect := func(code int, want string, args ...string) {
		t.Helper()
		if got, out, errs := call(args...); got != code || !strings.Contains(out+errs, want) {
			t.Errorf("store %q: exit %d: %q %q, want %d with %q", args, got, out, errs, code, want)
		}
	}
	expect(0, "Usage: frond store")
	expect(1, "check, dump, rebuild, giveup, format", "mend", root)
	expect(1, "it takes check, dump, rebuild, giveup or format, and a folder", "check")
	expect(1, "neither a data folder nor", "check", t.TempDir())
	expect(1, "in use already", "check", root)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(0, "incarnation 7: 200 messages", "check", root)
	expect(0, "incarnation 7: 200 messages", "check", dir)
	expect(0, "files can be read: nothing is given up", "giveup", root)
	expect(0, "format 2; this program writes formats up to 2", "format", root)
	expect(1, `"x" is no number`, "format", "x", root)
	journal := filepath.Join(storesRoot(t, root), "journal")
	if err := os.MkdirAll(journal, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := vfs.OS{}.Lock(filepath.Join(journal, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	expect(1, "a server runs on it", "giveup", root)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call("dump", root); code != 0 || strings.Count(out, "\n") != 200 || !strings.Contains(errs, "200 messages") {
		t.Errorf("dump: exit %d, %d lines, %q", code, strings.Count(out, "\n"), errs)
	}
	path := filepath.Join(dir, "00000001.chunks")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("body 100,"))] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(1, "cannot be read: ", "check", root)
	if code, out, _ := call("dump", root); code != 1 || strings.Contains(out, `"seq":100,`) || strings.Count(out, "\n") < 100 {
		t.Errorf("dump of what is damaged: exit %d, %d lines", code, strings.Count(out, "\n"))
	}
	code, out, _ := call("rebuild", root)
	for _, want := range []string{"lost before: ", filepath.Join(dir, "00000002.chunks") + ": made\n", path + ".damaged-1: set aside, it was 00000001.chunks\n"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("store rebuild: exit %d, %q, want %q", code, out, want)
		}
	}
	expect(0, "lost before: ", "check", root)
	if _, err := os.Stat(path + ".damaged-1"); err != nil {
		t.Error(err)
	}
}

// Before the first drain all messages are in the journal, and a process that dies
// then leaves a data folder all the same.
func TestStore_onlyAJournal(t *testing.T) {
	live := t.TempDir()
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.JetStream.Enabled, o.JetStream.StoreDir = true, live }))
	for _, m := range [][2]string{{"$JS.API.STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`}, {"s", "hello"}} {
		if _, err := s.Request(t.Context(), m[0], []byte(m[1])); err != nil {
			t.Fatal(err)
		}
	}
	dead := t.TempDir() // as of a kill at this moment
	err := filepath.WalkDir(live, func(path string, e os.DirEntry, err error) error {
		to := filepath.Join(dead, strings.TrimPrefix(path, live))
		switch {
		case errors.Is(err, os.ErrNotExist), strings.HasSuffix(path, ".tmp"):
			return nil // a segment is being prepared
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(to, 0o700)
		case !e.Type().IsRegular():
			return nil // the socket of frond damage
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dead, "jetstream", "streams")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there are folders of streams already: %v", err)
	}
	for _, below := range []string{"", "jetstream"} {
		for word, want := range map[string]string{
			"check": "the next start applies it", "dump": "the next start applies it", "rebuild": "the next start applies it",
			"giveup": "files can be read: nothing is given up", "format": "this program writes formats up to",
		} {
			var out bytes.Buffer
			code := run([]string{"store", word, filepath.Join(dead, below)}, &out, &out)
			if code != 0 || !strings.Contains(out.String(), want) {
				t.Errorf("store %s %s: exit %d, %q", word, below, code, out.String())
			}
			if word == "check" && !strings.Contains(out.String(), "catalogue.db: ") {
				t.Errorf("store check %s says nothing of the catalogue: %q", below, out.String())
			}
			if word == "format" {
				continue // only looks at one number
			}
			out.Reset()
			if code := run([]string{"store", word, filepath.Join(live, below)}, &out, &out); code != 1 || !strings.Contains(out.String(), "a server runs on it") {
				t.Errorf("store %s %s under a server: exit %d, %q", word, below, code, out.String())
			}
		}
	}
}

// storesRoot is the folder below a data folder that has the streams.
func storesRoot(t *testing.T, dir string) string {
	t.Helper()
	root, _, err := storesIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A folder that a server uses is not looked into, and that is no damage: it is
// told, and by which process, also where somebody removed the file of the lock.
func TestStore_inUse(t *testing.T) {
	dir := t.TempDir()
	s := servertest.Start(t, servertest.With(func(o *config.Options) { o.JetStream.Enabled, o.JetStream.StoreDir = true, dir }))
	for _, m := range [][2]string{{"$JS.API.STREAM.CREATE.S", `{"name":"S","subjects":["s"]}`}, {"s", "hello"}} {
		if _, err := s.Request(t.Context(), m[0], []byte(m[1])); err != nil {
			t.Fatal(err)
		}
	}
	who := "a server runs on it: stop that first"
	if transport.KnowsPeers {
		who = fmt.Sprintf("a server runs on it, process %d: stop that first", os.Getpid())
	}
	check := func(args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(args, &out, &errs)
		if code != 1 || out.Len() > 0 || strings.Contains(errs.String(), "damaged") || !strings.Contains(errs.String(), "in use already") || !strings.Contains(errs.String(), who) {
			t.Errorf("%q: exit %d, %q, %q; want that it is in use: %s", args, code, out.String(), errs.String(), who)
		}
	}
	all := func() {
		t.Helper()
		for _, word := range []string{"check", "dump", "rebuild", "giveup", "format"} {
			check("store", word, dir)
		}
		check("store", "format", "2", dir)
		check("identity", "new", "--data", dir)
	}
	all()
	if runtime.GOOS == "windows" {
		return // a file that is open is not removed there
	}
	if err := os.Remove(filepath.Join(dir, "jetstream", "journal", "lock")); err != nil {
		t.Fatal(err)
	}
	all()
}
