// Command demo shows the main job in one terminal: a device publishes 5,000
// readings over MQTT 5 to an edge, while the link to the hub is cut twice and
// the edge is killed once, and all of them are at the hub at the end, in
// order, none twice.
//
// What for: `make demo`, and its test. With -hub stock the hub is nats-server;
// with -edges there are several edges, see fleet.
//
// What not: no measurement; the edge, the hub and the link are real, the
// device is a goroutine.
//
// Where to start: run in run.go is the story, device.go the MQTT client,
// verify.go the count.
package main
