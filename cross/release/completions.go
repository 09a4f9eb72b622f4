package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/frondmq/frond/cmd/frond/help"
)

// completion is what a shell may offer behind a command; "" is the program
// itself.
type completion struct {
	command string
	flags   []help.Flag
	words   []help.Topic // a word and what it is
}

// completions are made of the usages, which hold exactly the flags that the
// program takes (cmd/frond tests that).
func completions() []completion {
	about := map[string]string{
		"edge": "a broker for a gateway", "hub": "the other end", "passwd": "a hash of a password", "identity": "who a data folder is",
		"damage": "what was found damaged", "connections": "who is connected, and ending it", "store": "what is in the files of a stopped server", "import": "a configuration of mosquitto's", "service": "a service of Windows", "help": "pages to read", "version": "show the version",
	}
	var all []completion
	for _, c := range help.Commands() {
		one := completion{command: c, flags: help.Flags(c)}
		if !slices.ContainsFunc(one.flags, func(f help.Flag) bool { return slices.Contains(f.Names, "-h") }) {
			one.flags = append(one.flags, help.Flag{Names: []string{"-h", "--help"}, About: "Show the usage"})
		}
		if c == "frond" {
			one.command = ""
			for _, w := range append(help.Commands()[1:], "help", "version") {
				one.words = append(one.words, help.Topic{Name: w, About: about[w]})
			}
		} else {
			for _, w := range help.Words(c) {
				one.words = append(one.words, help.Topic{Name: w})
			}
		}
		all = append(all, one)
	}
	pages := completion{command: "help"}
	for _, w := range help.Words("help") {
		i := slices.IndexFunc(help.Topics(), func(t help.Topic) bool { return t.Name == w })
		if i >= 0 {
			pages.words = append(pages.words, help.Topics()[i])
		} else {
			pages.words = append(pages.words, help.Topic{Name: w, About: "usage of frond " + w})
		}
	}
	return append(all, pages)
}

// kindOf says what stands behind a flag: "file", "dir", a list of words, or
// "" for anything.
func kindOf(f *help.Flag) string {
	switch strings.Trim(strings.ToLower(f.Value), "<>") {
	case "file":
		return "file"
	case "dir":
		return "dir"
	case "format":
		return "text json"
	case "signal>[=<pid>]":
		return "stop quit term reopen"
	}
	return ""
}

// flagNames are all names of flags that pass a test.
func flagNames(flags []help.Flag, pass func(*help.Flag) bool) []string {
	var names []string
	for i := range flags {
		if pass(&flags[i]) {
			names = append(names, flags[i].Names...)
		}
	}
	return names
}

const madeBy = "# Completion of frond, made from its flags by make release.\n"

// bashCompletion needs nothing but bash.
func bashCompletion() []byte {
	var b strings.Builder
	b.WriteString(madeBy + `_frond() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= kind= i
	case ${COMP_WORDS[1]} in
`)
	all := completions()
	var names []string
	for _, w := range all[0].words {
		names = append(names, w.Name)
	}
	fmt.Fprintf(&b, "\t%s) [ \"$COMP_CWORD\" -gt 1 ] && command=${COMP_WORDS[1]} ;;\n\tesac\n\tcase $command in\n", strings.Join(names, "|"))
	for _, c := range all {
		name := c.command
		if name == "" {
			name = "''"
		}
		var words []string
		for _, w := range c.words {
			words = append(words, w.Name)
		}
		fmt.Fprintf(&b, "\t%s)\n\t\twords='%s'\n", name, strings.Join(words, " "))
		fmt.Fprintf(&b, "\t\tcase $cur in -*) words='%s' ;; esac\n", strings.Join(flagNames(c.flags, func(*help.Flag) bool { return true }), " "))
		kinds := valueKinds(c.flags)
		if len(kinds) > 0 {
			b.WriteString("\t\tcase $prev in\n")
			for _, k := range kinds {
				fmt.Fprintf(&b, "\t\t%s) kind='%s' ;;\n", strings.Join(k.names, "|"), k.kind)
			}
			b.WriteString("\t\tesac\n")
		}
		if c.command == "store" {
			b.WriteString("\t\tcase $prev in check|dump|rebuild) kind=dir ;; esac\n")
		}
		b.WriteString("\t\t;;\n")
	}
	b.WriteString(`	esac
	COMPREPLY=()
	case $kind in
	file) while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -f -- "$cur") ;;
	dir) while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -d -- "$cur") ;;
	any) ;;
	'') while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -W "$words" -- "$cur") ;;
	*) while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -W "$kind" -- "$cur") ;;
	esac
}
complete -o filenames -F _frond frond
`)
	return []byte(b.String())
}

type valueKind struct {
	kind  string
	names []string
}

// valueKinds groups the flags that take a value by what it is; "any" is one of
// which a shell knows nothing.
func valueKinds(flags []help.Flag) []valueKind {
	var kinds []valueKind
	for i := range flags {
		f := &flags[i]
		if f.Value == "" {
			continue
		}
		kind := kindOf(f)
		if kind == "" {
			kind = "any"
		}
		at := slices.IndexFunc(kinds, func(k valueKind) bool { return k.kind == kind })
		if at < 0 {
			at = len(kinds)
			kinds = append(kinds, valueKind{kind: kind})
		}
		kinds[at].names = append(kinds[at].names, f.Names...)
	}
	return kinds
}

// quoted is s as one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshCompletion is a function for a folder of $fpath.
func zshCompletion() []byte {
	var b strings.Builder
	b.WriteString("#compdef frond\n" + madeBy + `_frond() {
	local command= cur=$words[CURRENT] prev=$words[CURRENT-1]
	local -a list flags
	(( CURRENT > 2 )) && command=$words[2]
	case $command in
`)
	all := completions()
	known := []string{}
	for _, w := range all[0].words {
		known = append(known, w.Name)
	}
	fmt.Fprintf(&b, "\t%s) ;;\n\t*) command= ;;\n\tesac\n\tcase $command in\n", strings.Join(known, "|"))
	for _, c := range all {
		name := c.command
		if name == "" {
			name = "''"
		}
		fmt.Fprintf(&b, "\t%s)\n", name)
		for _, k := range valueKinds(c.flags) {
			do := "return 1"
			switch k.kind {
			case "file":
				do = "_files; return"
			case "dir":
				do = "_files -/; return"
			case "any":
			default:
				do = "compadd -- " + k.kind + "; return"
			}
			fmt.Fprintf(&b, "\t\tcase $prev in %s) %s ;; esac\n", strings.Join(k.names, "|"), do)
		}
		if c.command == "store" {
			b.WriteString("\t\tcase $prev in check|dump|rebuild) _files -/; return ;; esac\n")
		}
		b.WriteString("\t\tlist=(")
		for _, w := range c.words {
			b.WriteString(" " + quoted(zshRow(w.Name, w.About)))
		}
		b.WriteString(" )\n\t\tflags=(")
		for _, f := range c.flags {
			for _, n := range f.Names {
				b.WriteString(" " + quoted(zshRow(n, f.About)))
			}
		}
		b.WriteString(" )\n\t\t;;\n")
	}
	b.WriteString(`	esac
	if [[ $cur == -* ]]; then
		_describe -o flag flags
	else
		_describe word list
	fi
}
if [[ $funcstack[1] == _frond ]]; then
	_frond "$@"
else
	compdef _frond frond
fi
`)
	return []byte(b.String())
}

func zshRow(name, about string) string {
	if about == "" {
		return name
	}
	return name + ":" + about
}

// fishCompletion is one line a word and flag.
func fishCompletion() []byte {
	var b strings.Builder
	b.WriteString(madeBy + "complete -c frond -f\n")
	all := completions()
	var known []string
	for _, w := range all[0].words {
		known = append(known, w.Name)
	}
	for _, c := range all {
		when := "not __fish_seen_subcommand_from " + strings.Join(known, " ")
		if c.command != "" {
			when = "__fish_seen_subcommand_from " + c.command
		}
		for _, w := range c.words {
			fmt.Fprintf(&b, "complete -c frond -n %s -a %s", quoted(when), w.Name)
			if w.About != "" {
				fmt.Fprintf(&b, " -d %s", quoted(w.About))
			}
			b.WriteString("\n")
		}
		for i := range c.flags {
			f := &c.flags[i]
			fmt.Fprintf(&b, "complete -c frond -n %s", quoted(when))
			for _, n := range f.Names {
				switch bare := strings.TrimLeft(n, "-"); {
				case strings.HasPrefix(n, "--"):
					b.WriteString(" -l " + bare)
				case len(bare) == 1:
					b.WriteString(" -s " + bare)
				default:
					b.WriteString(" -o " + bare)
				}
			}
			switch kind := kindOf(f); {
			case f.Value == "":
			case kind == "file":
				b.WriteString(" -r -F")
			case kind == "dir":
				b.WriteString(" -x -a '(__fish_complete_directories)'")
			case kind != "":
				fmt.Fprintf(&b, " -x -a %s", quoted(kind))
			default:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", quoted(f.About))
		}
		if c.command == "store" {
			b.WriteString("complete -c frond -n '__fish_seen_subcommand_from store' -a '(__fish_complete_directories)'\n")
		}
	}
	return []byte(b.String())
}
