//go:build !no_mqtt

package main

import (
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/mqtt"
)

func mqttModule() core.Module { return mqtt.New() }

// forget drops what a package has made at the start and nobody needs: the test
// cases of the MQTT codec, 350 KB.
func forget() { packets.TPacketData = nil }
