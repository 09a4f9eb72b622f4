package help

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/frondmq/frond/core/config"
)

// Topic is a page.
type Topic struct {
	Name  string
	About string // one line
}

// Topics are the pages in the order of a reader.
func Topics() []Topic {
	return []Topic{
		{"commands", "the program's commands and flags"},
		{"configuration", "every option of a configuration file"},
		{"recipes", "an edge for a gateway, step by step"},
		{"monitoring", "what can be asked of the monitoring port"},
		{"errors", "JetStream's error codes: what they mean, what to do"},
		{"jetstream", "streams and consumers: what is different here"},
		{"mqtt", "MQTT devices: what is different here"},
		{"from-nats-server", "coming from nats-server"},
		{"from-mosquitto", "coming from mosquitto"},
		{"sizing", "memory, disk and how flash wears"},
		{"upgrade", "versions, upgrades, and how to check a download"},
		{"security", "who may do what, and what is not protected"},
	}
}

// Commands have flags and a part of the page of commands; "frond" is the
// program without one. Help and version have neither, and only a usage.
func Commands() []string {
	return []string{"frond", "edge", "hub", "passwd", "identity", "damage", "connections", "store", "import", "service"}
}

// Page is the text of a topic, "" if there is none of that name.
func Page(name string) string {
	text := file("pages/" + name)
	if name == "configuration" {
		text += Configuration(config.Reference())
	}
	return text
}

// List says what there is to read.
func List() string { return file("list") }

// For is what there is about a word: a topic, a command, an error code or an
// option. ok is false if it is none of them; the text then says so, and names
// what is near.
func For(word string) (text string, ok bool) {
	low := strings.ToLower(word)
	if text := Page(low); text != "" {
		return text, true
	}
	if low != "frond" {
		if u := Usage(low); u != "" {
			return u, true
		}
	}
	if code, err := strconv.Atoi(low); err == nil {
		return forCode(code)
	}
	if text := forOption(low, config.Reference()); text != "" {
		return text, true
	}
	return fmt.Sprintf("no help about %q%s; frond help lists what there is", word, near(low)), false
}

// near names what a word was perhaps meant to be. Of topics and commands a part
// is enough.
func near(word string) string {
	// The command's name in front of what there is help about.
	if rest := strings.TrimLeft(strings.TrimPrefix(word, "help"), "_-."); rest != "" && rest != word {
		if _, ok := For(rest); ok {
			return fmt.Sprintf(", did you mean %q?", rest)
		}
	}
	var known []string
	found := ""
	for _, n := range names() {
		known = append(known, n)
		if len(word) > 2 && (strings.Contains(n, word) || strings.Contains(word, n)) {
			found += " or \"" + n + "\""
		}
	}
	if found == "" {
		for _, s := range config.Reference() {
			for i := range s.Keys {
				known = append(append(known, s.Keys[i].Name), s.Keys[i].Aliases...)
			}
		}
		if n := config.Near(word, known); n != "" {
			found = " or \"" + n + "\""
		}
	}
	if found == "" {
		return saying(word)
	}
	return ", did you mean" + found[len(" or"):] + "?"
}

// saying names the topics and commands whose text has a word.
func saying(word string) string {
	var in []string
	if len(word) > 2 {
		each(func(n, text string) bool {
			if _, name, ok := strings.Cut(n, "/"); ok && name != "frond" && strings.Contains(strings.ToLower(text), word) {
				in = append(in, name)
			}
			return false
		})
	}
	if len(in) == 0 {
		return ""
	}
	return ", but " + strings.Join(in, ", ") + " say something of it"
}

// forCode is the entry of the page of errors about a code.
func forCode(code int) (text string, ok bool) {
	number := fmt.Sprintf("%5d  ", code)
	var b strings.Builder
	in := false
	for l := range strings.Lines(Page("errors")) {
		switch {
		case strings.HasPrefix(l, number):
			in = true
		case !strings.HasPrefix(l, "       "):
			in = false
		}
		if in {
			b.WriteString(l)
		}
	}
	if b.Len() == 0 {
		return fmt.Sprintf("no error of that number is given by this version of frond: %d; see frond help errors", code), false
	}
	return b.String(), true
}
