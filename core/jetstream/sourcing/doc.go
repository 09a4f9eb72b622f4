// Package sourcing is the pure part of mirrors and sources: how a stream
// fetches the messages of another one, its origin, over the JetStream API.
//
// A Fetcher asks the origin for a consumer that pushes from where the stream
// stands, checks what arrives for gaps, and begins anew from the newest
// message it has whenever something was lost. It reads no clock, starts no
// goroutine and sends nothing: time is an argument and what is to be done comes
// back in Effects. The engine around it owns subscriptions and the log.
//
// The origin may be a stream of this server, of another server of the account
// behind a leaf link (through its JetStream domain), or of a stock server. The
// consumer that is asked for is the one that servers since 2.10 understand: a
// direct push consumer without acknowledgements, with heartbeats and flow
// control. Flow control is answered when what came before it is durable, so
// that the origin's window bounds what is in flight.
//
// Where to start reading: Fetcher, then its inputs in the order Tick,
// Answer, Message, FlowControl, Stored.
package sourcing
