// Package hub will make several servers one: routes within a cluster, gateways
// between clusters, replicated streams on raft groups, and their placement. It
// is no promise to other programs: it changes without notice.
//
// There is nothing here yet. A configuration that asks for a cluster or a
// gateway is refused. What is planned is in core/DESIGN.md, sections 2 and 5.
//
// What it will not do: anything an edge needs. Builds with the tag `edge` leave
// this room out.
package hub
