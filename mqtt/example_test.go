package mqtt_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/mqtt"
)

// A server with a port for MQTT: what devices publish is heard as NATS subjects.
func Example() {
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1
	dir, err := os.MkdirTemp("", "frond")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o.JetStream.Enabled, o.JetStream.StoreDir = true, dir
	o.MQTT.Host, o.MQTT.Port, o.MQTT.Set = "127.0.0.1", -1, true
	devices := mqtt.New()
	s, err := core.New(o, []core.Module{devices}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	defer s.Shutdown(context.Background())
	heard := make(chan string)
	if _, err := s.Subscribe("rooms.>", "", func(m *core.Message) { heard <- m.Subject + ": " + string(m.Data) }); err != nil {
		log.Fatal(err)
	}

	device, err := net.Dial("tcp", devices.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	// CONNECT (3.1.1, clean session, no identifier) and PUBLISH (QoS 0).
	fmt.Fprint(device, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x1e\x00\x00", "\x30\x18\x00\x12rooms/kitchen/temp20.5")
	fmt.Println(<-heard)
	// Output: rooms.kitchen.temp: 20.5
}
