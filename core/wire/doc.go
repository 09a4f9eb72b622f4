// Package wire is the codec of the NATS text protocol: parsers for what clients
// and leaf links send, encoders for what they are sent, header blocks, and the
// texts of errors and close reasons. It is no promise to other programs: it
// changes without notice.
//
// It does no I/O, keeps no clock and logs nothing. Parsers call a handler with
// slices of the buffer they were given; encoders append to a buffer they are
// given. Neither allocates per message.
//
// What it does not decide: whether a subject is valid or allowed, who a peer
// is, and in which order verbs may come. That is the handler's.
//
// Start reading at msg.go, then parser.go (how buffers are cut into
// operations), then client.go and leaf.go (the two dialects).
package wire
