// Package core is the server: listeners, client connections, accounts wired to
// authentication, lifecycle. It is also the library for those who embed frond.
//
// New checks everything and fails early, Server.Start opens the doors,
// Server.Shutdown closes them in order: doors, then connections, then the
// store. Protocols that a build may leave out are modules (module.go).
//
// The way of a message from a client: client_read.go (the reader goroutine),
// client_verbs.go (what each verb does), account.Route, then for every client
// that gets it client.Deliver in client_out.go, which encodes into the
// connection's buffer (core/outbound), and the writer there. Start reading
// at server.go and client.go. DESIGN.md has the plan of the whole house.
package core
