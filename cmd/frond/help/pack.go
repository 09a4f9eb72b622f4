package help

import (
	"fmt"
	"strings"
)

// What is put together when the texts are compressed, so that a program need
// not know how.

// commandsPage is the page of all usages.
func commandsPage(usage func(command string) string) string {
	var b strings.Builder
	b.WriteString("Commands and flags\n")
	for _, c := range Commands() {
		title := "FROND"
		if c != "frond" {
			title += " " + strings.ToUpper(c)
		}
		b.WriteString("\n" + title + "\n\n")
		b.WriteString(usage(c))
	}
	return b.String()
}

// listText is what List prints.
func listText() string {
	var b strings.Builder
	b.WriteString("frond help TOPIC, where TOPIC is\n\n")
	for _, t := range Topics() {
		fmt.Fprintf(&b, "  %-18s%s\n", t.Name, t.About)
	}
	b.WriteString(`
or a command (edge, hub, passwd, identity, damage, connections, store, import,
service, help, version), an option of a configuration file (store_dir,
mqtt.port, a block such as leafnodes), or the number of an error (10059).

frond -h lists the flags.
`)
	return b.String()
}
