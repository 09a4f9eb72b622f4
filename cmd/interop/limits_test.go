package interop

import (
	"errors"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// max_connections is of all clients together, by whatever port they came.
func TestMaxConnections_over_ports(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		s := start(t, kind, peers.Config{JetStream: true, MQTT: true, Extra: "max_connections: 2"})
		// Each opens a connection and returns what closes it.
		device := func() (func(), error) {
			c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.MQTTAddr()).SetClientID("one-more").
				SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(step))
			k := c.Connect()
			if !k.WaitTimeout(step) {
				return nil, errors.New("no answer")
			}
			return func() { c.Disconnect(0) }, k.Error()
		}
		client := func() (func(), error) {
			nc, err := nats.Connect(s.URL(), nats.Timeout(step))
			return nc.Close, err
		}
		// One that is gone leaves its place a little later.
		in := func(what func() (func(), error)) (leave func()) {
			eventually(t, step, func() (err error) { leave, err = what(); return err })
			t.Cleanup(leave)
			return leave
		}
		out := func(what func() (func(), error)) {
			eventually(t, step, func() error {
				leave, err := what()
				if err != nil {
					return nil
				}
				leave()
				return errors.New("a third one gets in")
			})
		}
		first := in(client)
		second := in(device)
		out(device)
		out(client)
		second()
		second = in(client)
		out(device)
		out(client)
		first()
		in(device)
		out(client)
		second()
		in(client)
	})
}
