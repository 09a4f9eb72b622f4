package wire

import "errors"

// Msg is one message on its way through the server.
//
// Every slice is borrowed: it is valid until the call that was given the Msg
// returns. Whoever keeps a message longer copies what it keeps. A Msg value
// itself is reused by its owner from message to message.
type Msg struct {
	// Subject is what interest is matched on.
	Subject []byte
	// Shown, when not nil, is the subject that subscribers see in place of
	// Subject. JetStream deliveries use it: they are matched on the deliver
	// subject and shown with the stored one. Links carry it behind an '@' in
	// the reply (see Reply).
	Shown []byte
	// Reply is nil when the message has no reply subject.
	Reply []byte
	// Header is the complete header block, "NATS/1.0\r\n" up to and with the
	// empty line, or nil.
	Header []byte
	// Body is the payload without the header block and without the CR LF
	// behind it. It may be empty.
	Body []byte
	// Queues are the queue groups a peer server chose for this link. Only
	// messages that came in by a link have them; nil means plain
	// subscriptions only.
	Queues [][]byte
	// From is the id of the client connection here that published the message, 0
	// for everybody else: it is how a client does not hear itself.
	From uint64
	// Receipt, when not nil, is told about each stream that takes the message,
	// in place of the answer that a stream publishes to Reply. It never crosses
	// a link.
	Receipt Receipt
	// Own marks what the server itself publishes. A stream never holds the
	// publisher up for the disk then, because the disk may wait for it.
	Own bool
	// Chosen goes with Own: the server itself chose the subject, as for a
	// request to an origin or an advisory. Without it somebody else did, by a
	// reply, a deliver subject or a destination, and JetStream executes no such
	// message as a request: the server would act for whoever named the subject.
	Chosen bool
	// Here keeps the message on this server: no link is given it.
	Here bool
	// Via is for package account, while a message is routed that came in by a link
	// (account.Follow); nil for all others.
	Via any
	// Feeds marks what a consumer sends to the mirror or the source that it was
	// made for, its heartbeats among it. A link that is slow with it may tell
	// the other side that it is not forgotten.
	Feeds bool
	// Unfit is set by a link that could never carry the message, as it is too
	// long for the peer, and says why. Whoever publishes again and again what
	// nobody took looks at it.
	Unfit string
}

// Receipt lets a local publisher learn when its message is durable, without a
// reply subject. A stream that captures the message calls Expect while the
// message is being routed, so before Route returns, and Stored exactly once
// later, from any goroutine. Both must not block.
type Receipt interface {
	Expect()
	// Stored reports the outcome: err is nil once the message is on disk under
	// seq, or, when it is a duplicate of one that is, that one has seq. It is
	// ErrUnknown when the stream does not know, and never will, whether it is on
	// disk; every other error says that it is not.
	Stored(stream string, seq uint64, duplicate bool, err error)
}

// ErrUnknown is the outcome of a message that is stored or not: the stream's server
// stopped, or does not lead any more, before that was sure.
var ErrUnknown = errors.New("it is not known whether the message was stored")

// VisibleSubject is the subject a subscriber is shown.
func (m *Msg) VisibleSubject() []byte {
	if m.Shown != nil {
		return m.Shown
	}
	return m.Subject
}
