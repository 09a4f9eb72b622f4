// Package mqtt lets MQTT 3.1.1 and MQTT 5 clients connect: topics become
// subjects, and MQTT and NATS clients of an account hear each other.
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
// What it does not do, and answers with the error that the protocol has for
// it and a line in the log: QoS 2, retained messages, topic aliases,
// subscription identifiers, sessions that outlive their connection, enhanced
// authentication. QoS 1 messages are sent once to each connection, and again
// never: there is no session to send them again to. Clients over WebSocket are
// not served.
//
// Messages of NATS clients whose subject makes no valid topic (an empty one,
// one with '+' or '#', one that is not UTF-8) are not delivered. Headers that
// make no valid property are left out.
//
// Where to start reading: conn.go for the life of a connection, publish.go and
// acks.go for the way in, subscription.go for the way out, topic.go for names.
package mqtt
