// Package mqtt lets MQTT 3.1, 3.1.1 and 5 clients connect, and mosquitto's bridges
// (older.go): topics become subjects, and MQTT and NATS clients of an account hear
// each other. Programs that embed frond use New; the rest changes without notice.
//
// A QoS 1 PUBLISH is acknowledged when the message is on disk in every stream
// that captures its subject; when no stream does, it is acknowledged once it
// was handed to the subscribers. MQTT 5 user properties become message headers
// and headers become user properties, so that a device can send a Nats-Msg-Id
// and be published exactly once.
//
// Packets are decoded and encoded by the codec of mochi-mqtt, behind checks of
// our own (guard.go), except for PUBLISH and PUBACK, which are the fast path
// (publish.go). Connections, sessions and packet identifiers are ours.
//
// Retained messages lie in a stream of the account under nats-server's names
// (keeper.go), one message a subject, and nowhere else: a new subscription gets them
// from there page by page, at its client's pace (replay.go). Without JetStream they
// are taken without the flag.
//
// A QoS 2 PUBLISH is the same with PUBREC, PUBREL and PUBCOMP: its identifier is
// remembered as long as the session lasts. The Response Topic of MQTT 5 and the
// reply subject of NATS are one thing.
//
// One bad message costs no client its connection (publish.go): what can't be
// carried is left out, escaped or refused alone. What does not work yet is told
// to the client where the protocol has a word for it, and to the operator in
// one line a client and minute (log.go).
// There is no enhanced authentication.
//
// A session that outlives its connection is kept on streams, by package session:
// kept.go is the way in, deliver.go the way out. Messages with QoS 1 or 2 that are not
// kept, since the session is not, are sent once to each connection, and never again.
//
// Messages of NATS clients whose subject makes no valid topic (an empty one,
// one with '+' or '#', one that is not UTF-8) are not delivered. Headers that
// make no valid property are left out.
//
// Where to start reading: conn.go for the life of a connection, publish.go and
// acks.go for the way in, aliases.go for topic aliases, subscription.go for the way out, topic.go for names,
// keeper.go, replay.go and replaykept.go for what is retained, kept.go for sessions, exactly.go for
// QoS 2, systopics.go for $SYS/broker, listeners.go for ports with TLS and users of their
// own.
package mqtt
