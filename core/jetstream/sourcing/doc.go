// Package sourcing is the pure part of mirrors and sources: how a stream
// fetches the messages of another one, its origin, over the JetStream API. It
// is no promise to other programs: it changes without notice.
//
// A Fetcher asks the origin for a consumer that pushes from where the stream
// stands, checks what arrives for gaps, and begins anew from the newest
// message it has whenever something was lost. It reads no clock, starts no
// goroutine and sends nothing: time is an argument and what is to be done comes
// back in Effects. Package origins around it owns subscriptions, and the engine the log.
//
// The origin may be a stream of this server, of another server of the account
// behind a leaf link (through its JetStream domain), or of a stock server. The
// consumer that is asked for is a direct push consumer without
// acknowledgements, with heartbeats and flow control, as servers since 2.10
// give it. Flow control is answered when what came before it is durable, so
// that the origin's window bounds what is in flight.
//
// The request says what the consumer is for. An origin that deletes what was
// acknowledged (a work queue, a stream of interest) then gives a durable one, of
// the same name with every attempt, for which the answers to flow control are
// the acknowledgements (ADR-60). It also says which stream of the name is
// meant: one that was deleted and made anew is another one, so a source begins
// at its start, and a mirror stops and tells. Servers that know less refuse,
// and are asked in the way that they understand.
//
// A line may need longer for one message than an origin may be silent: while a
// message is half read nobody is given up, and the patience grows.
//
// Where to start reading: Fetcher, then its inputs in the order Tick,
// Answer, Message, FlowControl, Stored.
package sourcing
