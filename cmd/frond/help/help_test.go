package help

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/klauspost/compress/s2"

	"github.com/frondmq/frond/core/config"
)

var rewrite = flag.Bool("rewrite", false, "compress the texts anew")

// sources are the texts as they stand in the repository, packed.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"usage", "pages"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil || len(names) < 5 {
			t.Fatalf("%s: %d files, %v", dir, len(names), err)
		}
		for _, n := range names {
			text, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s\n%s\x00", strings.TrimSuffix(filepath.ToSlash(n), ".txt"), text)
		}
	}
	fmt.Fprintf(&all, "pages/commands\n%s\x00", commandsPage(func(c string) string {
		text, err := os.ReadFile(filepath.Join("usage", c+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}))
	fmt.Fprintf(&all, "list\n%s\x00", listText())
	return all.String()
}

// What a build embeds is what the files say.
func TestTexts_areThoseOfTheFiles(t *testing.T) {
	want := sources(t)
	if *rewrite {
		if err := os.WriteFile("texts.s2", s2.EncodeBest(nil, []byte(want)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := s2.Decode(nil, []byte(texts))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("texts.s2 is not made of the files in usage and pages: go test ./cmd/frond/help -rewrite")
	}
}

func TestPages_fitATerminal(t *testing.T) {
	texts := map[string]string{"list": List()}
	for _, topic := range Topics() {
		texts[topic.Name] = Page(topic.Name)
		if len(topic.About) > 60 {
			t.Errorf("%s: %q is too long", topic.Name, topic.About)
		}
	}
	for _, c := range Commands() {
		texts["usage of "+c] = Usage(c)
	}
	all := config.Reference()
	for _, s := range all {
		for i := range s.Keys {
			texts["option "+s.Name+"."+s.Keys[i].Name] = forOption(s.Keys[i].Name, all)
		}
	}
	for name, text := range texts {
		if text == "" {
			t.Errorf("%s is empty", name)
		}
		for i, line := range strings.Split(text, "\n") {
			if len(line) > width || strings.TrimRight(line, " ") != line || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s:%d: over %d columns, or not plain: %q", name, i+1, width, line)
			}
		}
	}
}

func TestPages_areThoseOfTheTopics(t *testing.T) {
	names, err := filepath.Glob("pages/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, strings.TrimSuffix(filepath.Base(n), ".txt"))
	}
	want := []string{}
	for _, topic := range Topics() {
		if topic.Name != "commands" { // made of the usages
			want = append(want, topic.Name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("pages %v, topics %v", got, want)
	}
}

// Every name of every option is in the reference, with what becomes of it.
func TestConfiguration_hasEveryOption(t *testing.T) {
	page := strings.Join(strings.Fields(Page("configuration")), " ")
	count := 0
	all := config.Reference()
	for _, s := range all {
		for i := range s.Keys {
			k := &s.Keys[i]
			for _, n := range append([]string{k.Name}, k.Aliases...) {
				count++
				word := n
				if s.Name != "" {
					word = bare(s.Name) + "." + n
				}
				text := forOption(word, all)
				mark := map[config.Status]string{config.NotYet: refused, config.Ignored: ignored}[k.Status]
				if !strings.Contains(text, where(&s)+"\n"+status(k)+keyText(k)) || !strings.Contains(text, mark) || k.Own != strings.Contains(keyText(k), "(frond's own") ||
					(k.Reload != config.Never) != strings.Contains(keyText(k), "reload: "+k.Reload.String()+")") {
					t.Errorf("%s: %q", word, text)
				}
			}
			if row := strings.Join(strings.Fields(keyText(k)), " "); !strings.Contains(page, row) {
				t.Errorf("%s.%s is not in the page: %q", s.Name, k.Name, row)
			}
		}
	}
	if count < 250 {
		t.Errorf("%d names", count)
	}
}

// The README has a table of frond's own options; it names those that are marked.
func TestConfiguration_ownOptionsAreThoseOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "## Options of frond's own")
	if !found {
		t.Fatal("the README has no such section")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:[a-z]+ \\{ )*)([a-z_]+)(?: \\})*`").FindAllStringSubmatch(table, -1) {
		want = append(want, strings.NewReplacer("remotes { ", "remotes[].", " { ", ".").Replace(m[1])+m[2])
	}
	var got []string
	for _, s := range config.Reference() {
		for _, k := range s.Keys {
			if k.Own {
				got = append(got, strings.TrimPrefix(s.Name+"."+k.Name, "."))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("marked %v, in the README %v", got, want)
	}
}

// givenCodes are the error codes in the sources, with their texts. A code is
// declared as a row of a table, or as a constant of its own; one that nothing
// uses is none.
func givenCodes(t *testing.T) map[string][]string {
	t.Helper()
	declared := []*regexp.Regexp{
		regexp.MustCompile(`(?m)^\s*([eE]rr[A-Z]\w*)\s*=\s*&[\w.]+\{(?:Code: )?\d{3}, (?:ErrCode: )?(10\d{3}), (?:Description: )?"((?:[^"\\]|\\.)*)"\}`),
		regexp.MustCompile(`(?m)^\s*(err[A-Z]\w*)\s*=\s*(10\d{3})\b()`),
	}
	names, codes := map[string]string{}, map[string][]string{}
	words := map[string]int{}
	for _, room := range []string{"core", "leaf", "mqtt"} {
		err := filepath.WalkDir("../../../"+room, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() && entry.Name() == "jsclient" {
				return filepath.SkipDir // it is given codes, those of other servers too
			}
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, w := range strings.FieldsFunc(string(text), func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			}) {
				words[w]++
			}
			for _, d := range declared {
				for _, m := range d.FindAllStringSubmatch(string(text), -1) {
					if names[m[1]] = m[2]; !slices.Contains(codes[m[2]], m[3]) {
						codes[m[2]] = append(codes[m[2]], m[3])
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range names {
		if words[name] < 2 {
			t.Errorf("%s (%s) is declared and never given", name, code)
		}
	}
	// A number in the range of codes that is declared in none of these forms
	// would be missed here.
	number := regexp.MustCompile(`^10[0-2]\d{2}$`)
	for w := range words {
		if codes[w] == nil && w != "10000" && number.MatchString(w) {
			t.Errorf("%s stands in the sources and is no code that this test knows", w)
		}
	}
	return codes
}

func TestErrors_areThoseThatTheServerGives(t *testing.T) {
	codes := givenCodes(t)
	if len(codes) < 100 {
		t.Fatalf("%d codes", len(codes))
	}
	for code, texts := range codes {
		entry, ok := For(code)
		if !ok {
			t.Errorf("%s %q is not in the page", code, texts)
			continue
		}
		plain := strings.Join(strings.Fields(entry), " ")
		for _, about := range texts {
			if !strings.Contains(plain, about) {
				t.Errorf("%s: the server says %q, the page %q", code, about, plain)
			}
			plain = strings.Replace(plain, about, "", 1)
		}
		if len(plain) < 30 {
			t.Errorf("%s: what to do? %q", code, entry)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^(\d{5})  `).FindAllStringSubmatch(Page("errors"), -1) {
		if codes[m[1]] == nil {
			t.Errorf("%s is in the page, and nothing gives it", m[1])
		}
	}
	// Other pages name codes too.
	for _, topic := range Topics() {
		for _, n := range regexp.MustCompile(`\b10[0-2]\d{2}\b`).FindAllString(Page(topic.Name), -1) {
			if codes[n] == nil && n != "10000" {
				t.Errorf("%s names %s, and nothing gives it", topic.Name, n)
			}
		}
	}
}

func TestFor_namesWhatIsNear(t *testing.T) {
	for word, want := range map[string]string{
		"nonsense":      `no help about "nonsense"; frond help lists`,
		"monitorng":     `did you mean "monitoring"?`,
		"mosquitto":     `did you mean "from-mosquitto"?`,
		"nats":          `did you mean "from-nats-server"?`,
		"securty":       `did you mean "security"?`,
		"max_paylod":    `did you mean "max_payload"?`,
		"10001":         "no error of that number is given by this version of frond: 10001",
		"frond":         "no help about",
		"x":             "no help about",
		"help_tls":      `did you mean "tls"?`,
		"help-":         `did you mean "help"?`,
		"SIGHUP":        `no help about "SIGHUP", but configuration, `,
		"kick":          "connections, ",
		"pages/mqtt":    "no help about",
		"../pages/mqtt": "no help about",
	} {
		text, ok := For(word)
		if ok || !strings.Contains(text, want) {
			t.Errorf("%s: %v %q", word, ok, text)
		}
	}
	for word, want := range map[string]string{
		"MQTT": "TOPICS ARE SUBJECTS", "edge": "Usage: frond edge", "10052": "invalid stream configuration",
		"store_dir": "in jetstream", "jetstream.store_dir": "where streams are kept", "leafnodes.remotes": "LEAFNODES.REMOTES[]",
		"tls": "cert_file", "cluster": "no build has clusters yet", "mqtt.ack_wait": ignored,
	} {
		if text, ok := For(word); !ok || !strings.Contains(text, want) {
			t.Errorf("%s: %v %q", word, ok, text)
		}
	}
}

// The page of monitoring names every endpoint and parameter that the handler
// knows.
func TestMonitoring_namesEveryEndpointAndParameter(t *testing.T) {
	page := Page("monitoring")
	var text []byte
	for _, f := range []string{"handler.go", "handler_full.go", "connz_page.go", "connz.go"} {
		b, err := os.ReadFile("../../../core/monitor/" + f)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	count := 0
	for _, m := range regexp.MustCompile(`(?:q\.(?:boolean|integer|uint64)|values\.Get)\("([a-z_-]+)"\)|"(/[a-z]+(?:/[a-z]+)?)"`).FindAllStringSubmatch(string(text), -1) {
		count++
		word := m[1] + m[2]
		if !regexp.MustCompile(`(?m)(^|[\s,])` + regexp.QuoteMeta(word) + `($|[\s,])`).MatchString(page) {
			t.Errorf("%s is not in the page", word)
		}
	}
	if count < 25 {
		t.Errorf("%d names found", count)
	}
}
