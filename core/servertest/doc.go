// Package servertest starts servers for tests: on free ports of the loopback
// interface, with a folder that goes away, and with a look at the end that
// nothing was left running. Start reading at Start.
package servertest
