package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
)

// roffRequests are the requests that the man page may use: those that every
// reader of man pages knows.
var roffRequests = []string{"TH", "SH", "SS", "PP", "in", "nf", "fi", "BR"}

// The page says all that frond help says, and is sound roff: by rules of ours,
// and by groff where there is groff.
func TestMan_is_whole_and_sound(t *testing.T) {
	page := manPage("1.2.3", time.Unix(1_700_000_000, 0))
	if again := manPage("1.2.3", time.Unix(1_700_000_000, 0)); !bytes.Equal(page, again) {
		t.Error("two runs differ")
	}
	open := 0
	for i, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "'") {
			t.Errorf("%d: begins with a control character: %q", i+1, line)
		}
		if strings.HasPrefix(line, ".") {
			request, _, _ := strings.Cut(line[1:], " ")
			if !slices.Contains(roffRequests, request) {
				t.Errorf("%d: request %q", i+1, line)
			}
			switch request {
			case "nf":
				open++
			case "fi":
				open--
			}
			if open < 0 || open > 1 {
				t.Fatalf("%d: .nf and .fi do not match", i+1)
			}
		}
		for _, m := range regexp.MustCompile(`\\(\(..|.|$)`).FindAllString(line, -1) {
			if !slices.Contains([]string{`\-`, `\e`, `\&`, `\(aq`, `\(ga`, `\(ha`, `\(ti`}, m) {
				t.Errorf("%d: escape %q", i+1, m)
			}
		}
	}
	if open != 0 {
		t.Error(".nf without .fi")
	}
	plain := plainOf(string(page))
	for _, topic := range help.Topics() {
		if !strings.Contains(string(page), "\n.SH "+roffLine(strings.ToUpper(topic.Name))+"\n") {
			t.Errorf("no section for %s", topic.Name)
		}
		_, body, _ := strings.Cut(help.Page(topic.Name), "\n")
		for _, line := range strings.Split(body, "\n") {
			if line != "" && !strings.Contains(plain, line) {
				t.Errorf("%s: %q is not in the man page", topic.Name, line)
			}
		}
	}
	tool(t, "groff")
	file := filepath.Join(t.TempDir(), "frond.1")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("groff", "-man", "-Tascii", "-ww", "-P-cbou", file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, errs.String())
	}
	if !strings.Contains(out.String(), "invalid stream configuration") || !strings.Contains(out.String(), "--mqtt-port PORT") {
		t.Errorf("groff prints %d bytes without what should be there", out.Len())
	}
}

// plainOf undoes what roffLine does.
func plainOf(s string) string {
	return strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~", `\&`, "", `\e`, `\`).Replace(s)
}

// asked is what stands on a command line, the last word to be completed, and
// words that must and must not be offered.
var asked = []struct {
	line      string
	want, not []string
}{
	{"frond ", []string{"edge", "hub", "passwd", "identity", "damage", "connections", "store", "import", "help", "version"}, []string{"check"}},
	{"frond ed", []string{"edge"}, []string{"hub"}},
	{"frond --js", []string{"--json"}, nil},
	{"frond --s", []string{"--signal", "--store_dir"}, []string{"--store"}},
	{"frond edge --st", []string{"--store"}, []string{"--store_dir"}},
	{"frond edge --", []string{"--hub", "--creds", "--mqtt-port", "--help"}, []string{"--collect"}},
	{"frond hub --co", []string{"--collect"}, nil},
	{"frond store ", []string{"check", "dump", "rebuild"}, nil},
	{"frond damage a", []string{"ack"}, []string{"ls"}},
	{"frond identity ", []string{"new"}, nil},
	{"frond help ", []string{"configuration", "from-mosquitto", "edge"}, []string{"version"}},
	{"frond help mon", []string{"monitoring"}, nil},
	{"frond --signal ", []string{"stop", "reopen"}, []string{"edge"}},
	{"frond --log_format ", []string{"text", "json"}, nil},
	{"frond -c t", []string{"the.conf"}, nil},
	{"frond edge --data t", []string{"thefolder"}, []string{"the.conf"}},
}

// completes sources a completion in its shell and asks it; script prints what
// is offered for the words of a line, one a line.
func completes(t *testing.T, shell, name string, body []byte, script func(file, line string) string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("%s is not on this machine: its completion was written and not sourced", shell)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "the.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "thefolder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, a := range asked {
		cmd := exec.Command(shell, "-c", script(filepath.Join(dir, name), a.line))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "ZDOTDIR="+dir, "XDG_CONFIG_HOME="+dir)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v\n%s", a.line, err, errs.String())
			continue
		}
		var got []string
		for l := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
			got = append(got, strings.TrimSuffix(word, "/"))
		}
		for _, w := range a.want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %s is not offered: %q", a.line, w, got)
			}
		}
		for _, w := range a.not {
			if slices.Contains(got, w) {
				t.Errorf("%q: %s is offered: %q", a.line, w, got)
			}
		}
	}
}

func TestCompletion_bash(t *testing.T) {
	completes(t, "bash", "frond.bash", bashCompletion(), func(file, line string) string {
		return fmt.Sprintf(`set -eu; . %q
read -ra COMP_WORDS <<<%q; case %q in *' ') COMP_WORDS+=('');; esac
COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _frond || true; printf '%%s\n' "${COMPREPLY[@]-}"`, file, line, line)
	})
}

// compadd and what stands on it only work in a running line editor, so its
// functions are given other bodies that print.
func TestCompletion_zsh(t *testing.T) {
	completes(t, "zsh", "_frond", zshCompletion(), func(file, line string) string {
		return fmt.Sprintf(`emulate zsh; compdef() { : }
_describe() { [[ $1 == -o ]] && shift; local x; for x in ${(P)2}; do print -r -- ${x%%%%:*}; done }
_files() { if [[ $1 == -/ ]]; then print -rl -- *(/N); else print -rl -- *(N); fi }
compadd() { shift; print -rl -- $@ }
source %q
line=%q
words=( ${(z)line} ); [[ $line == *' ' ]] && words+=('')
CURRENT=$#words; _frond | while read -r x; do [[ $x == $words[CURRENT]* ]] && print -r -- $x; done; true`, file, line)
	})
}

func TestCompletion_fish(t *testing.T) {
	completes(t, "fish", "frond.fish", fishCompletion(), func(file, line string) string {
		return fmt.Sprintf("source %q; complete -C %q", file, line)
	})
}

// The completions offer every command, word and flag of the usages.
func TestCompletions_offer_everything(t *testing.T) {
	bash, zsh, fish := string(bashCompletion()), string(zshCompletion()), string(fishCompletion())
	n := 0
	for _, c := range append(help.Commands(), "help") {
		var words []string
		for _, f := range help.Flags(c) {
			words = append(words, f.Names...)
		}
		for _, w := range append(words, help.Words(c)...) {
			n++
			bare := regexp.QuoteMeta(strings.TrimLeft(w, "-"))
			if !regexp.MustCompile(`[' ]` + regexp.QuoteMeta(w) + `[' ]`).MatchString(bash) {
				t.Errorf("bash: %s of %s is missing", w, c)
			}
			if !regexp.MustCompile(`'` + regexp.QuoteMeta(w) + `[:']`).MatchString(zsh) {
				t.Errorf("zsh: %s of %s is missing", w, c)
			}
			if !regexp.MustCompile(`-[losa] ` + bare + `\b`).MatchString(fish) {
				t.Errorf("fish: %s of %s is missing", w, c)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d words", n)
	}
}
