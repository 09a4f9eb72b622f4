// Package monitor owns every JSON shape by which the server shows itself, and
// the small HTTP server that serves them. Field names, their order and what is
// left out when empty are those of nats-server, because dashboards, exporters
// and the nats CLI read them. It is no promise to other programs: it changes
// without notice.
//
// The package computes nothing about the server: core implements Source and
// the modules fill in a Description. It never sees a lock of the data path,
// only the snapshots it is given. Start reading at handler.go; server.go and
// request.go are what of HTTP/1.1 it takes to serve it.
package monitor
