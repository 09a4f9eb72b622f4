// Package origins keeps mirrors and sources at work: it brings the messages of
// other streams, their origins, into the streams that fetch them. It is no
// promise to other programs: it changes without notice.
//
// What to ask an origin for, and what to take of what comes, is decided by a
// sourcing.Fetcher, which is pure. This room gives it what it has not: the
// interest on the bus of the account, requests and answers to flow control, a
// clock, and the engine's streams, which it knows by the interface Stream alone.
// What it brings is an operation of the stream's log; how that is applied, and
// where a source stands, is the engine's.
//
// Where to start reading: Stream (engine.go) is what is brought, fetching
// (fetching.go) one mirror or source, Set (set.go) those of one stream, and
// Fetchers (fetchers.go) the one goroutine of all.
package origins
