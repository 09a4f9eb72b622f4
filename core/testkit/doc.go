// Package testkit is what tests of all rooms share: waiting for what other
// goroutines bring about, and a log that is read while it is written. It is part of
// frond and changes without notice.
//
// What not: it knows no server (core/servertest does) and no store
// (edgestore/edgestoretest does), so tests of every room may import it.
package testkit
