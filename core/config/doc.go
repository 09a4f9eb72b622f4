// Package config reads the configuration of the server: the language, the
// typed options, and the checks between options.
//
// The way of a file: scan.go cuts text into tokens, parse.go builds a tree of
// nodes that remember file, line and column (variables, includes and the
// environment are resolved there), digest.go names the tree by its SHA-256,
// and one table per block (table_*.go) turns nodes into Options. A table says
// for every key what it is called, what it takes, and whether this version
// supports it, ignores it or refuses it; the documentation prints the same
// tables. Validate holds the rules between options.
//
// What is not here: opening listeners, reading credentials, deciding whether a
// build has the module that a block needs. Start reading at options.go.
package config
