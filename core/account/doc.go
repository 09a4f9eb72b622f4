// Package account is one tenant: who is interested in which subjects, and the
// routing of one message to them. It is no promise to other programs: it
// changes without notice.
//
// The way of a message (route.go): subject mappings, then the compiled match
// of the subject (plan.go, cached by the publisher's Origin and checked
// against the generation of the interest index), then the plain
// subscriptions, then one member of each queue group, then each link once
// with the groups chosen for it. Which kind of peer may be sent what, and
// which members of a queue group are preferred, is one table in forward.go.
//
// Interest changes are events that links watch (watch.go). Checks that depend
// on the receiver (echo, permissions, expiry) are the Sink's.
//
// What is not here: connections, authentication, the wire. Start reading at
// sink.go and route.go.
package account
