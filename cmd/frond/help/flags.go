package help

import "strings"

// Flag is one row of a usage.
type Flag struct {
	Names []string // with their dashes
	Value string   // what stands behind it, as "FILE" or "<port>"; "" for a switch
	About string   // the first line
}

// Flags are those that the usage of a command has.
func Flags(command string) []Flag {
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
		if len(words) > 0 && isValue(words[0]) {
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
	for {
		_, rest, found := strings.Cut(head, "frond "+command+" ")
		if !found {
			return all
		}
		letters := rest[:len(rest)-len(strings.TrimLeft(rest, lower))]
		if letters != "" {
			all = append(all, letters)
		}
		head = rest[len(letters):]
	}
}

// isValue says whether a word behind a flag stands for a value.
func isValue(word string) bool {
	upper := strings.TrimSuffix(word, "...")
	return word[0] == '<' || upper != "" && strings.Trim(upper, strings.ToUpper(lower)) == ""
}

const lower = "abcdefghijklmnopqrstuvwxyz"
