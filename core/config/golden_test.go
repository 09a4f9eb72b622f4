package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the code says into testdata")

// story is one case of a testdata file:
//
//	=== name
//	the configuration
//	--- file inc.conf
//	a file that it includes
//	--- env NAME
//	the text of an environment variable
//	--- want
//	what comes out
type story struct {
	name, text, want string
	files, env       map[string]string
}

func readStories(t testing.TB, path string) []story {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []story
	var to func(string)
	for _, line := range strings.SplitAfter(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "=== "):
			out = append(out, story{name: strings.TrimSpace(line[4:]), files: map[string]string{}, env: map[string]string{}})
			s := &out[len(out)-1]
			to = func(l string) { s.text += l }
		case strings.HasPrefix(line, "--- "):
			s := &out[len(out)-1]
			what, name, _ := strings.Cut(strings.TrimSpace(line[4:]), " ")
			switch what {
			case "file":
				to = func(l string) { s.files[name] += l }
			case "env":
				to = func(l string) { s.env[name] += strings.TrimSuffix(l, "\n") }
			case "want":
				to = func(l string) { s.want += l }
			default:
				t.Fatalf("%s: %s", path, line)
			}
		case to != nil:
			to(line)
		}
	}
	return out
}

func (s *story) source() Source {
	return Source{
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := s.files[filepath.ToSlash(path)]; ok {
				return []byte(text), nil
			}
			return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
		},
		Env: func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
	}
}

func (s *story) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "=== %s\n%s", s.name, s.text)
	for _, name := range sortedKeys(s.files) {
		fmt.Fprintf(&b, "--- file %s\n%s", name, s.files[name])
	}
	for _, name := range sortedKeys(s.env) {
		fmt.Fprintf(&b, "--- env %s\n%s\n", name, s.env[name])
	}
	fmt.Fprintf(&b, "--- want\n%s", s.want)
	return b.String()
}

func runStories(t *testing.T, file string, run func(s *story) string) {
	path := filepath.Join("testdata", file)
	stories := readStories(t, path)
	var all strings.Builder
	for i := range stories {
		s := &stories[i]
		got := strings.TrimRight(run(s), "\n") + "\n\n"
		t.Run(strings.ReplaceAll(s.name, "/", "|"), func(t *testing.T) {
			if !*rewrite && got != strings.TrimRight(s.want, "\n")+"\n\n" {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", s.text, got, s.want)
			}
		})
		s.want = got
		all.WriteString(s.String())
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The digests in grammar.txt are those that nats-server prints for the same
// text, but where a case says otherwise.
func TestGrammar_stories(t *testing.T) {
	runStories(t, "grammar.txt", func(s *story) string {
		tree, err := ParseTree("a.conf", []byte(s.text), s.source())
		if err != nil {
			return err.Error()
		}
		text, err := json.Marshal(tree.plain())
		if err != nil {
			return err.Error()
		}
		digest, err := Digest(tree)
		if err != nil {
			return err.Error()
		}
		return string(text) + "\n" + digest
	})
}

func TestOptions_stories(t *testing.T) {
	runStories(t, "options.txt", func(s *story) string {
		o, warns, err := Parse("a.conf", []byte(s.text), s.source())
		var out []string
		for _, w := range warns {
			out = append(out, "warning: "+w.String())
		}
		if err == nil {
			out = append(out, changed(o)...)
			err = o.Validate()
		}
		if err != nil {
			for _, l := range strings.Split(err.Error(), "\n") {
				out = append(out, "error: "+l)
			}
		}
		return strings.Join(out, "\n")
	})
}
