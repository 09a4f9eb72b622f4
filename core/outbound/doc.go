// Package outbound is what waits to be written to connections of all protocols:
// one Buffer a connection, made of chunks that a Pool lends, and the goroutine
// that empties it, which is there only while there is something to write. What
// differs by protocol (who is cut off, what is dropped, what goes first) is
// decided by the protocols' rooms, under the Buffer's lock. It is no promise to
// other programs: it changes without notice.
package outbound
