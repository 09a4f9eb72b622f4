// Package auth answers who a peer is and what it may do: a Request goes in, a
// Grant comes out, or ErrDenied.
//
// There is one Directory for each door (client port, leaf port, MQTT port). It
// knows users with passwords (plain or bcrypt), users with nkeys, one token,
// and the user that stands for those who present nothing. Start reading at
// auth.go, then directory.go.
//
// What is not here: reading the configuration, connections, timeouts.
package auth
