// Package help holds the words that the program brings along: the usage of each
// command and the pages of `frond help`.
//
// What for: cmd/frond prints them, cross/release makes the man page and the
// completions of shells from them. What not: no words that code elsewhere has
// already. The reference of the configuration is made of the tables of
// core/config, so that it can't be another than what is read.
//
// Where to start: help.go finds a page for a word. The texts are in pages and
// usage, one file each, as they are shown; texts.s2 is all of them compressed,
// which is what a build embeds. `go test ./cmd/frond/help -rewrite` makes it
// anew after a change, and the test fails until then.
package help
