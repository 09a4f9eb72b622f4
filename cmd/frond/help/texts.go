package help

import (
	_ "embed"
	"strings"

	"github.com/klauspost/compress/s2"
)

// texts is one block of s2: for each file its name, a line feed, its text and a
// zero byte. A string: it lies where nothing is written.
//
//go:embed texts.s2
var texts string

// each calls f for each text until f is done.
func each(f func(name, text string) (done bool)) {
	all, err := s2.Decode(nil, []byte(texts))
	if err != nil {
		return // a build with damaged texts does not pass its tests
	}
	for one := range strings.SplitSeq(string(all), "\x00") {
		if name, text, _ := strings.Cut(one, "\n"); f(name, text) {
			return
		}
	}
}

// file is one of the texts, "" if there is none of that name.
func file(name string) (text string) {
	each(func(n, t string) bool {
		if n == name {
			text = t
		}
		return n == name
	})
	return text
}

// names are those of the topics and commands.
func names() (all []string) {
	each(func(n, _ string) bool {
		if _, name, ok := strings.Cut(n, "/"); ok && name != "frond" {
			all = append(all, name)
		}
		return false
	})
	return all
}

// Usage is what a command prints about itself; "frond" is the program without
// a command.
func Usage(command string) string { return file("usage/" + command) }
