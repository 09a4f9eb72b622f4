package testkit

import (
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Story is a test that is written as a text file, a step a line. What the steps
// mean is the business of the test that tells it.
type Story struct {
	File string // its path
	Text string
}

// Stories has each file that the pattern matches told, as a subtest of the file's
// name without its extension. A pattern that matches none fails the test.
func Stories(t *testing.T, pattern string, tell func(t *testing.T, s Story)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in %s: %v", pattern, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, filepath.Ext(name)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tell(t, Story{file, string(text)})
		})
	}
}

// Steps are the lines that say something, with their numbers from 1, and without
// the blanks around them. Lines that are empty or begin with "#" are for the reader.
func (s Story) Steps() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(s.Text) {
			n++
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !yield(n, line) {
				return
			}
		}
	}
}

// Play is for stories that hold what comes out: a line that begins with "> " is a
// command, and those behind it are what do answers, up to the next. Another answer
// fails the test, or is written into the file with rewrite. No answer may be empty or
// begin as a command or a comment does.
func (s Story) Play(t *testing.T, rewrite bool, do func(command string) []string) {
	t.Helper()
	out := s.played(func(command string) []string {
		answers := do(command)
		for _, a := range answers {
			if !isAnswer(a) {
				t.Errorf("%s: %q is no answer that a story can hold", command, a)
			}
		}
		return answers
	})
	if out == s.Text {
		return
	}
	if rewrite {
		if err := os.WriteFile(s.File, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s went another way:\n%s", s.File, out)
}

// played is the story as do tells it.
func (s Story) played(do func(command string) []string) string {
	var out strings.Builder
	say := func(line string) { out.WriteString(line); out.WriteByte('\n') }
	for line := range strings.Lines(s.Text) {
		line = strings.TrimSuffix(line, "\n")
		if !isAnswer(line) {
			say(line)
		}
		command, ok := strings.CutPrefix(line, "> ")
		if ok {
			for _, answer := range do(command) {
				say(answer)
			}
		}
	}
	return out.String()
}

// isAnswer tells an answer from commands, comments and blank lines.
func isAnswer(line string) bool {
	return line != "" && line[0] != '#' && !strings.HasPrefix(line, "> ") && !strings.Contains(line, "\n")
}
