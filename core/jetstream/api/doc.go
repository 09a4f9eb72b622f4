// Package api is the JetStream API as clients see it: the requests, the answers
// to them, acknowledgements of what was published, and advisories, with the form
// that each has in JSON. It is no promise to other programs: it changes without
// notice.
//
// A Server takes the requests of all accounts and answers them on a few
// goroutines. What is asked for is done by the engine, which it knows as
// Account, Stream and Consumer (engine.go). What a stream or a consumer may be
// told to be is checked elsewhere, in packages asset and consumer; the pulls of a
// consumer and its acknowledgements are no requests of this kind.
//
// Where to start reading: verbs in server.go for what there is, then the handler
// of one of them in streams.go.
package api
