// Package proxy is a TCP link that can be made as bad as a real one.
//
// What for: tests, the demo and the benches put it between an edge and its
// hub (or a client and its server) and then cut it, refuse connections, let it
// go silent in one or both directions, slow it down or delay it, and count
// what crossed it.
//
// What not: it works on byte streams, so it can neither lose nor reorder
// packets; that needs network namespaces and a queueing discipline.
//
// Where to start: Proxy in proxy.go is the switchboard, link in link.go is one
// connection through it.
package proxy
