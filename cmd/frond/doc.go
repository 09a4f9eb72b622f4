// Command frond is the broker: as nats-server is run (frond -c FILE, or flags),
// or by one of two presets for people, frond edge and frond hub.
//
// Start reading at main.go. flags.go has the flags of nats-server, preset.go
// the presets, banner.go and printconfig.go what they print, help the words of all,
// check.go -t, modules.go which protocols this build has.
package main
