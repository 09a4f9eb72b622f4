// Package jsclient is the JetStream client that rooms above use inside the
// server: for the engine of this server, or through a domain for that of another
// one, which may be a nats-server. It is no promise to other programs: it changes
// without notice.
//
// Start with New. A Client speaks for one account, without a socket: it publishes
// into the account and hears its answers there, so links carry both where they
// carry a client's.
//
//   - Streams: Ensure, Update, Info, Delete, Purge (streams.go).
//   - Messages: Get, Last, Next, NextBatch, LastPerSubject, DeleteMessage (get.go).
//   - Publish for one message and its receipt; a Window for many in flight
//     (window.go).
//   - Cursor: a walk along a stream that resumes by itself (cursor.go).
//   - Consumer: a durable consumer, with acknowledgements (consume.go).
//
// # Outcomes
//
// A publish that was begun has one Outcome, told exactly once: it is stored under
// a sequence; it was refused, and is not stored; or nobody knows, because no answer
// came in time or the way to the stream was lost. Who sends again what is unknown
// gives it a message id, by which the stream takes it once.
//
// # Errors
//
// What JetStream answers is an *APIError. Those that callers ask for have names,
// which errors.Is finds whatever the text is: ErrStreamNotFound and so on
// (errors.go). ErrNoResponders says that nobody heard the request, ErrTimeout and
// ErrLost that it is not known what became of it, ErrClosed that the client, or
// what was made of it, was closed.
//
// # Time
//
// A call with a context that has a deadline ends with it; without one it waits
// for CallTimeout. Next of a Cursor and of a Consumer, and waiting for room in a
// Window, have no limit but the context.
//
// # Concurrency
//
// Everything here may be used by several goroutines at once. There are no
// goroutines beside those of the callers: answers are taken on whichever goroutine
// routes them, and deadlines of a Window stand on a timer. Close ends all that was
// made of the client and waits until nothing of it runs. Whoever makes a Client
// closes it.
package jsclient
