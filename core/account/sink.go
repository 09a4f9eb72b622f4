package account

import "github.com/frondmq/frond/core/wire"

// Role says what kind of peer stands behind a sink or an origin. Routing knows
// peers only by role: the table in forward.go says which role may be sent what
// another role published.
type Role uint8

const (
	// RoleClient is a NATS or MQTT client of this server.
	RoleClient Role = iota
	// RoleInternal is the server itself: JetStream, monitoring, service answers.
	RoleInternal
	// RoleLocal is the server itself where it answers its own clients and nobody
	// else: no link hears of it, and it is not counted as a subscription.
	RoleLocal
	// RoleKept is a subscriber that is away, for whom the server keeps messages: links
	// hear of it, and it is not counted as a subscription.
	RoleKept
	// RoleSpoke is a leaf link whose peer is the spoke: this server is the hub.
	RoleSpoke
	// RoleHub is a leaf link whose peer is the hub: this server is the spoke.
	RoleHub
	// RoleRoute is another server of the same cluster.
	RoleRoute
	// RoleGateway is a server of another cluster.
	RoleGateway
	numRoles
)

// Sink is anything that a message can be delivered to: a client, an MQTT
// session, a link, a stream, an internal handler.
type Sink interface {
	// Role and Cluster never change during the life of a sink. Cluster is the
	// cluster name of the peer of a link, "" for all others.
	Role() Role
	Cluster() string
	// Deliver hands m over to the sink for subscription s. It is called from
	// any goroutine, must not block on the network, must not call back into
	// the account's Subscribe or Unsubscribe, and must copy what it keeps. Only
	// a stream may hold the caller up, while the disk is behind.
	// It reports whether the sink took the message; echo, permission and
	// expiry are the sink's to check.
	// For links the account calls Deliver once per message, with the queue
	// groups chosen for that link in m.Queues.
	Deliver(s *Sub, m *wire.Msg) bool
	// Flush is called once after the last of a burst of deliveries. The sink
	// wakes its writer here, so that a burst is one wake-up and one write.
	Flush()
}
