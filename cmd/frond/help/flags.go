package help

import (
	"regexp"
	"strings"
)

// Flag is one row of a usage.
type Flag struct {
	Names []string // with their dashes
	Value string   // what stands behind it, as "FILE" or "<port>"; "" for a switch
	About string   // the first line
}

// Flags are those that the usage of a command has.
func Flags(command string) []Flag {
	// A word behind a flag that stands for a value.
	isValue := regexp.MustCompile(`^(<.*|[A-Z]+(\.\.\.)?)$`)
	var all []Flag
	for line := range strings.Lines(Usage(command)) {
		words := strings.Fields(strings.ReplaceAll(line, ",-", ", -"))
		var f Flag
		for len(words) > 0 && strings.HasPrefix(words[0], "-") {
			name, _, _ := strings.Cut(strings.TrimSuffix(words[0], ","), "=")
			f.Names, words = append(f.Names, name), words[1:]
		}
		if len(f.Names) == 0 {
			continue
		}
		if len(words) > 0 && isValue.MatchString(words[0]) {
			f.Value, words = words[0], words[1:]
		}
		f.About = strings.Join(words, " ")
		all = append(all, f)
	}
	return all
}

// Words are what a command takes beside flags, as its usage shows it.
func Words(command string) []string {
	if command == "help" {
		var all []string
		for _, t := range Topics() {
			all = append(all, t.Name)
		}
		return append(all, Commands()[1:]...)
	}
	var all []string
	head, _, _ := strings.Cut(Usage(command), "\n\n")
	for _, m := range regexp.MustCompile(`(?m)frond `+command+` ([a-z]+)`).FindAllStringSubmatch(head, -1) {
		all = append(all, m[1])
	}
	return all
}
