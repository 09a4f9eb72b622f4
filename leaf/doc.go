// Package leaf links this server to others by the leafnode protocol: a server
// at the edge dials a hub, and both sides make their interest known to each
// other, so that messages flow only where somebody wants them. Both roles are
// here, and both work with a stock nats-server at the other end (protocol of
// nats-server 2.10 to 2.15). Programs that embed frond use New; the rest
// changes without notice.
//
// A link carries one account. What crosses it is bounded by the permissions of
// the user as whom the dialing side logged in (publish is what that side may
// send, whichever of the two is the hub), by the denies of the remote's
// configuration, and by the JetStream rules: each side keeps its own JetStream
// API, and the other side reaches it through its domain, "$JS.<domain>.API".
//
// Links are built for bad networks: pings go out ahead of queued messages, a
// path that has died is noticed within 45 seconds, a slow one is never taken
// for a dead one, and the dialer never gives up: behind a link that had lived it
// tries again within 50 ms, and then less and less often, down to the interval
// of the configuration. Messages that the network
// can't carry are dropped and counted when max_pending of them wait; interest
// is not, a link that has no room even for that is ended and begins again.
//
// A hub tells its spokes apart by more than their names: a frond sends the
// identity of its data folder. Of two runs of one folder, one is a copy or dead:
// the older link is asked for a sign of life, and with one the newer link is
// refused. Two servers of one JetStream domain are told of, or with
// unique_domains the second is refused; see admission.go.
//
// With the option collect a hub keeps one stream that has the stream EDGE of
// every edge that links as a source; see collector.
//
// What the peer does not take, a message or a control line longer than its
// bounds, is never sent, for the peer would cut the link and, at the next
// attempt, cut it again. It is counted, told in the log, and told to the
// publisher in wire.Msg.Unfit: a consumer that feeds a mirror or a source passes
// such a message over.
//
// A stock hub gives a consumer up of which nothing whole came for 10 s, and asks
// for the same message again; while a slow line is busy with one, a second
// connection carries heartbeats, see lifeline.
//
// What it does not do: WebSocket transport, links in operator mode, and store
// and forward; that is the work of mirrors, sources and streams.
//
// Where to start reading: Module for the life of the room, remote.run and
// listener.serve for how links come about, link.run for what one does,
// interest for what is announced.
package leaf
