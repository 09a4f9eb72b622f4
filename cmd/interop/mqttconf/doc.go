// Package mqttconf puts a server to the normative statements of MQTT 3.1.1 and
// MQTT 5, each under its identifier (MQTT-3.3.2-14), over a socket and by bytes
// of its own.
//
// What for: mqtt/CONFORMANCE.md says of each statement how frond and mosquitto
// behave, and is made by a run of this suite. A test fails when a server behaves
// otherwise than the file says, in either direction. A stub that acknowledges
// everything and does nothing shows that the checks ask for something.
//
// What not: it has no wording of the standards, only identifiers and sections. It
// shares no code with the servers it looks at: packets are made and read by
// wire.go, so that no fault of a codec hides itself.
//
// Where to start: statements.go for what a row is, v311.go and v5.go for the rows,
// exam.go and client.go for what checks are written with, checks_*.go for the checks.
//
//	go test ./mqttconf                        the servers, against the file
//	go test ./mqttconf -run Frond/v5/MQTT-3.3.2-14
//	go test ./mqttconf -rewrite               make the file again
package mqttconf
