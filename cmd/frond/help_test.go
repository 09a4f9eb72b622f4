package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/frondmq/frond/cmd/frond/help"
)

// flagsOf are the flags that a command defines; help is there without being
// defined.
func flagsOf(command string) *flag.FlagSet {
	var text string
	var is bool
	switch command {
	case "frond":
		return newFlags().set
	case "edge", "hub":
		return (&preset{name: command, edge: command == "edge"}).flags()
	case "damage":
		return damageFlags(&text, &text, &is, &is)
	case "connections":
		return new(connectionsCall).flags()
	case "identity":
		return identityFlags(&text)
	case "import":
		return new(importArgs).flags()
	case "service":
		return serviceFlags(&text)
	}
	return flag.NewFlagSet(command, flag.ContinueOnError)
}

// A usage has the flags that its command takes, and no other. Of nats-server's
// flags that are refused the page for those who come from there tells.
func TestUsage_hasTheFlagsOfTheCommand(t *testing.T) {
	_, refusals, found := strings.Cut(help.Page("from-nats-server"), "FLAGS THAT ARE REFUSED\n")
	if !found {
		t.Fatal("the page has no flags that are refused")
	}
	refused := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:^|[\s,])--?([A-Za-z_]+)`).FindAllStringSubmatch(refusals, -1) {
		refused[m[1]] = true
	}
	for _, c := range help.Commands() {
		shown := map[string]bool{}
		for _, f := range help.Flags(c) {
			for _, n := range f.Names {
				shown[strings.TrimLeft(n, "-")] = true
			}
		}
		set := flagsOf(c)
		set.VisitAll(func(f *flag.Flag) {
			if c == "frond" && refused[f.Name] {
				delete(refused, f.Name)
				v := newFlags()
				_ = v.set.Set(f.Name, "true")
				if _, _, err := v.options(); err == nil || !strings.Contains(err.Error(), "is not supported yet") {
					t.Errorf("the page says that -%s is refused: %v", f.Name, err)
				}
				return
			}
			if !shown[f.Name] {
				t.Errorf("frond %s takes -%s, and its usage does not say so", c, f.Name)
			}
		})
		for n := range shown {
			if set.Lookup(n) == nil {
				t.Errorf("the usage of frond %s has -%s, which it does not take", c, n)
			}
		}
		if c == "frond" && len(shown) < 40 {
			t.Errorf("%d flags", len(shown))
		}
	}
	for n := range refused {
		t.Errorf("the page has -%s, which is no flag", n)
	}
}

func TestHelp_knowsEveryCommand(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^\t+case ("[a-z]+"(?:, "[a-z]+")*):`).FindAllStringSubmatch(string(source), -1) {
		for _, w := range strings.Split(m[1], ", ") {
			known = append(known, strings.Trim(w, `"`))
		}
	}
	want := commands()
	slices.Sort(known)
	slices.Sort(want)
	if !slices.Equal(known, want) || len(known) < 8 {
		t.Errorf("main.go knows %v, help %v", known, want)
	}
	overview, _, _ := strings.Cut(help.Usage("frond"), "\n\n")
	for _, c := range commands() {
		if !strings.Contains(overview, "frond "+c) {
			t.Errorf("frond -h does not name %s", c)
		}
	}
	for _, c := range commands() {
		var out, errs bytes.Buffer
		if code := run([]string{"help", c}, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "Usage: frond "+c) {
			t.Errorf("frond help %s: exit %d, %q %q", c, code, out.String(), errs.String())
		}
	}
	list := help.List()
	for _, c := range help.Commands()[1:] {
		var out, errs bytes.Buffer
		if code := run([]string{c, "-h"}, &out, &errs); code != 0 || out.String() != help.Usage(c) || out.Len() == 0 {
			t.Errorf("frond %s -h: exit %d, %q %q", c, code, out.String(), errs.String())
		}
		if !regexp.MustCompile(`\b` + c + `\b`).MatchString(list) {
			t.Errorf("frond help does not name %s", c)
		}
		for _, word := range help.Words(c) {
			out.Reset()
			errs.Reset()
			run([]string{c, word, filepath.Join(t.TempDir(), "none")}, &out, &errs)
			if text := errs.String(); strings.Contains(text, "is not known") && !strings.Contains(text, word+" ") {
				t.Errorf("frond %s %s: %s", c, word, text)
			}
		}
	}
	if words := help.Words("store"); !slices.Equal(words, []string{"check", "dump", "rebuild", "giveup", "format"}) {
		t.Errorf("words of store: %v", words)
	}
}

func TestHelp_prints(t *testing.T) {
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"help"}, 0, "from-mosquitto", ""},
		{[]string{"help", "-h"}, 0, "from-mosquitto", ""},
		{[]string{"help", "mqtt"}, 0, "TOPICS ARE SUBJECTS", ""},
		{[]string{"help", "10052"}, 0, "10052  invalid stream configuration", ""},
		{[]string{"help", "configuration"}, 0, "LEAFNODES.REMOTES[]", ""},
		{[]string{"help", "monitorin"}, 1, "", `no help about "monitorin", did you mean "monitoring"?`},
		{[]string{"help", "10001"}, 1, "", "see frond help errors"},
		{[]string{"help", "a", "b"}, 1, "", "help takes one word, not 2"},
		{[]string{"hepl"}, 1, "", `did you mean "help"?`},
	} {
		var out, errs bytes.Buffer
		if code := run(test.args, &out, &errs); code != test.code || !strings.Contains(out.String(), test.stdout) || !strings.Contains(errs.String(), test.stderr) {
			t.Errorf("frond %q: exit %d, %.200q, %q", test.args, code, out.String(), errs.String())
		}
	}
}

// Configurations in the pages are valid, without a warning.
func TestHelp_configurationsInPagesAreValid(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir())
	count := 0
	for _, topic := range help.Topics() {
		for _, file := range regexp.MustCompile(`(?m)^    # edge\.conf\n((?:    .*\n|\n)+)`).FindAllString(help.Page(topic.Name), -1) {
			count++
			file = strings.NewReplacer("CERT", cert, "KEY", key).Replace(file)
			path := filepath.Join(t.TempDir(), "edge.conf")
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			if code := run([]string{"-t", "-c", path}, &out, &errs); code != 0 || strings.Contains(errs.String(), "invalid use") {
				t.Errorf("%s: %s: exit %d: %s", topic.Name, file, code, errs.String())
			}
		}
	}
	if count < 5 {
		t.Errorf("%d configurations", count)
	}
}

// The bridge of the page is that of the README, which is tried with mosquitto.
func TestHelp_bridgeIsThatOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(readme), "```mosquitto.conf\n")
	want, _, _ = strings.Cut(want, "```")
	_, got, _ := strings.Cut(help.Page("from-mosquitto"), "    # mosquitto.conf\n")
	got, _, _ = strings.Cut(got, "\n\n")
	if got = strings.ReplaceAll(got+"\n", "    ", ""); got != want || want == "" {
		t.Errorf("the page has\n%s\nthe README\n%s", got, want)
	}
}
