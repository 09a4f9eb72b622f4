//go:build !no_mqtt && !lean

package main

import "github.com/mochi-mqtt/server/v2/packets"

// forget drops what a package has made at the start and nobody needs: the test
// cases of the MQTT codec, 350 KB. The builds of releases are without them
// (cross/build, lean).
func forget() { packets.TPacketData = nil }
