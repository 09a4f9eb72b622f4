// Package transport is where connections of all protocols come in: ports and Unix
// sockets that listen (listener.go, unix.go), and how a connection begins (first
// line, TLS, in the order that the configuration and the peer want). What is
// spoken then is the protocols'. It is no promise to other programs: it changes
// without notice.
package transport
