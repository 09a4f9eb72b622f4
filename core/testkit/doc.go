// Package testkit is what tests of all rooms share: waiting for what other
// goroutines bring about, a log that is read while it is written, stories, which
// are tests written as text files, and a notation for the JSON of requests. It is
// part of frond and changes without notice.
//
// What not: it knows no server (core/servertest does) and no store
// (edgestore/edgestoretest does), so tests of every room may import it.
package testkit
