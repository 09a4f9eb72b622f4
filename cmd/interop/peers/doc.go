// Package peers starts the programs that the interop tests, the demo and the
// benches talk to: frond, the stock nats-server, mosquitto, and the command
// line clients `nats` and mosquitto_pub/sub.
//
// What for: real processes over real sockets, so that they can be killed with
// -9, restarted on the same folder, and compared with each other. A test takes
// the Kind of server as a parameter and runs the same script against both.
//
// What not: nothing here imports frond. It is built from the parent module and
// reached by its command line, its ports and its log only.
//
// Where to start: Start in server.go; Binaries in binaries.go for how the
// programs get built.
package peers
