// Package auth answers one question: who is this peer, and what may it do? It
// turns what a peer presented (a Request) into a Grant, or an error that wraps
// ErrDenied. It also proves who this server is when it dials somebody else. It
// is no promise to other programs: it changes without notice.
//
// It does not read configuration, does not know accounts beyond their names,
// and logs nothing: the caller logs the reason of a refusal and tells the peer
// none.
//
// Users of operator mode, whose rights are in signed JWTs, are not supported:
// a JWT that a peer presents grants nothing.
//
// Start reading at auth.go (the question and the answer), then directory.go; the
// dialing side is in signer.go.
package auth
