package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func mqttClient(addr, id string) (mqtt.Client, error) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetProtocolVersion(4).
		SetAutoReconnect(false).SetOrderMatters(true).SetMessageChannelDepth(10_000))
	return c, wait(c.Connect())
}

func wait(k mqtt.Token) error {
	if !k.WaitTimeout(20 * time.Second) {
		return errors.New("no answer")
	}
	return k.Error()
}

// mqttPubsub sends n messages from one MQTT 3.1.1 client to another and ends
// when all have arrived and, with QoS 1, all are acknowledged. At most window
// are in flight.
func mqttPubsub(qos byte) func(context.Context, *contender, int) (sample, error) {
	const window = 100
	return func(ctx context.Context, c *contender, n int) (sample, error) {
		from, err := mqttClient(c.mqtt, "bench-pub")
		if err != nil {
			return sample{}, err
		}
		defer from.Disconnect(0)
		to, err := mqttClient(c.mqtt, "bench-sub")
		if err != nil {
			return sample{}, err
		}
		defer to.Disconnect(0)
		var got atomic.Int64
		slots, done := make(chan struct{}, window), make(chan struct{})
		if err := wait(to.Subscribe("bench/x", qos, func(mqtt.Client, mqtt.Message) {
			<-slots
			if got.Add(1) == int64(n) {
				close(done)
			}
		})); err != nil {
			return sample{}, err
		}
		data := body()
		var last mqtt.Token
		begin := time.Now()
		for range n {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return sample{}, fmt.Errorf("%d of %d arrived: %w", got.Load(), n, ctx.Err())
			}
			last = from.Publish("bench/x", qos, false, data)
		}
		if err := wait(last); err != nil {
			return sample{}, err
		}
		select {
		case <-done:
		case <-ctx.Done():
			return sample{}, fmt.Errorf("%d of %d arrived: %w", got.Load(), n, ctx.Err())
		}
		return perSecond(n, time.Since(begin)), nil
	}
}
