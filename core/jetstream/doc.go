// Package jetstream is the persistence of frond: streams, consumers and the
// JetStream API over them. It is no promise to other programs: it changes
// without notice.
//
// It knows an account only as a Bus, the disk only as a Log and an
// edgestore.Store. Everything that changes a stream, a consumer or the
// catalogue of streams is an operation (ops.go) that is appended to a Log and
// then applied (apply.go) in the order of the log. Applying is deterministic:
// it reads neither the clock nor random numbers, so a restart that applies the
// journal again ends in the same state. Streams in files share the journal;
// streams in memory share a Log that has no disk under it (memlog.go).
//
// What is not here: listening sockets, subjects and their matching (package
// subject), accounts and routing, the bytes on disk (package edgestore), the
// rules of a consumer (package consumer, a state machine without clock or I/O
// that this package feeds), what a stream may be told to be (package asset),
// requests with their JSON (package api, which asks what is in requests.go), and
// the fetching of mirrors and sources (package origins, which brings messages
// by what is in ingest.go).
//
// Where to start reading: Engine for what lives how long, stream.ingest for
// the way in of a published message, applier.apply for what it changes, member
// for a consumer at work (with its mailbox, deltaLog and subscriptions), and
// requests.go for what the API asks for.
package jetstream
