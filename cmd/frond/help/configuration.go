package help

import (
	"fmt"
	"strings"

	"github.com/frondmq/frond/core/config"
)

// width is that of a page.
const width = 80

// Configuration is the reference of all options.
func Configuration(sections []config.Section) string {
	var b strings.Builder
	for i := range sections {
		b.WriteString("\n" + sectionText(&sections[i]))
	}
	return b.String()
}

// sectionText is one block: what works, what is refused, and what of
// nats-server has no meaning.
func sectionText(s *config.Section) string {
	var b strings.Builder
	b.WriteString(title(s) + "\n")
	var others [3][]*config.Key
	for i := range s.Keys {
		if k := &s.Keys[i]; k.Status == config.Supported {
			b.WriteString(keyText(k))
		} else {
			others[k.Status] = append(others[k.Status], k)
		}
	}
	list(&b, refused, others[config.NotYet])
	list(&b, ignored, others[config.Ignored])
	return b.String()
}

const (
	refused = "Of nats-server, not supported yet, an error:"
	ignored = "Of nats-server, without meaning here, a warning:"
)

func title(s *config.Section) string {
	if s.Name == "" {
		return "TOP LEVEL"
	}
	return strings.ToUpper(s.Name)
}

func list(b *strings.Builder, head string, keys []*config.Key) {
	if len(keys) == 0 {
		return
	}
	fmt.Fprintf(b, "\n  %s\n", head)
	for _, k := range keys {
		b.WriteString(keyText(k))
	}
}

// keyText is one option: its names, what it takes, what it does.
func keyText(k *config.Key) string {
	var b strings.Builder
	names := "  " + strings.Join(append([]string{k.Name}, k.Aliases...), ", ")
	b.WriteString(names)
	var marks []string
	if k.Own {
		marks = append(marks, "frond's own")
	}
	if k.Reload != config.Never {
		marks = append(marks, "reload: "+k.Reload.String())
	}
	if marks != nil {
		text := "  (" + strings.Join(marks, ", ") + ")"
		if len(names)+len(text) > width {
			b.WriteString("\n    ")
		}
		b.WriteString(text)
	}
	b.WriteString("\n")
	var parts []string
	for _, p := range []string{k.Type, defaultText(k), k.Help, k.Why} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	wrap(&b, "      ", strings.Join(parts, "; "))
	return b.String()
}

func defaultText(k *config.Key) string {
	if k.Default == "" {
		return ""
	}
	return "default " + k.Default
}

// wrap writes text in lines that begin with indent.
func wrap(b *strings.Builder, indent, text string) {
	column := 0
	for _, w := range strings.Fields(text) {
		switch {
		case column == 0:
			b.WriteString(indent + w)
			column = len(indent) + len(w)
		case column+1+len(w) > width:
			b.WriteString("\n" + indent + w)
			column = len(indent) + len(w)
		default:
			b.WriteString(" " + w)
			column += 1 + len(w)
		}
	}
	if column > 0 {
		b.WriteString("\n")
	}
}

// forOption is what there is about an option, by its name alone or behind the
// path of its block, or about a whole block; "" if nothing.
func forOption(word string, sections []config.Section) string {
	var b strings.Builder
	for i := range sections {
		s := &sections[i]
		if s.Name != "" && bare(s.Name) == word {
			b.WriteString(sectionText(s))
		}
		for j := range s.Keys {
			k := &s.Keys[j]
			for _, n := range append([]string{k.Name}, k.Aliases...) {
				if word == n || s.Name != "" && word == bare(s.Name)+"."+n {
					b.WriteString(where(s) + "\n" + status(k) + keyText(k))
				}
			}
		}
	}
	return b.String()
}

// bare is the path of a block as somebody types it.
func bare(path string) string { return strings.ReplaceAll(path, "[]", "") }

func where(s *config.Section) string {
	if s.Name == "" {
		return "at the top level"
	}
	return "in " + s.Name
}

func status(k *config.Key) string {
	switch k.Status {
	case config.NotYet:
		return "  " + refused + "\n"
	case config.Ignored:
		return "  " + ignored + "\n"
	}
	return ""
}
