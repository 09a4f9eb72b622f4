package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const told = `# A story.
> first 1
one
two

> second
`

func TestStories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt", "c.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(told), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	Stories(t, filepath.Join(dir, "*.txt"), func(t *testing.T, s Story) {
		names = append(names, t.Name())
		if s.Text != told || filepath.Dir(s.File) != dir {
			t.Errorf("%s: %q", s.File, s.Text)
		}
	})
	if fmt.Sprint(names) != "[TestStories/a TestStories/b]" {
		t.Errorf("told are %v", names)
	}
}

func TestStory_steps(t *testing.T) {
	var got []string
	for n, line := range (Story{Text: "# no\n\n  one step \r\n#\nlast"}).Steps() {
		got = append(got, fmt.Sprint(n, line))
	}
	if fmt.Sprint(got) != "[3one step 5last]" {
		t.Errorf("steps: %q", got)
	}
	for range (Story{Text: "one\ntwo"}).Steps() {
		break
	}
}

// What comes out is held against the file: more, less and other lines are seen.
func TestStory_play(t *testing.T) {
	answers := map[string][]string{"first 1": {"one", "two"}}
	do := func(command string) []string { return answers[command] }
	s := Story{File: filepath.Join(t.TempDir(), "s.txt"), Text: told}
	s.Play(t, false, do)
	for _, answer := range [][]string{nil, {"one"}, {"one", "two", "three"}, {"two", "one"}} {
		answers["first 1"] = answer
		if s.played(do) == s.Text {
			t.Errorf("%q is taken for what the file says", answer)
		}
	}
	for line, is := range map[string]bool{"one": true, ">": true, "": false, "#": false, "> ": false, "a\nb": false} {
		if isAnswer(line) != is {
			t.Errorf("%q is taken for an answer: %v", line, !is)
		}
	}
	s.Play(t, true, do)
	if text, err := os.ReadFile(s.File); err != nil || string(text) != "# A story.\n> first 1\ntwo\none\n\n> second\n" {
		t.Errorf("written is %q, %v", text, err)
	}
}
