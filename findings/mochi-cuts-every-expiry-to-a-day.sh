#!/usr/bin/env bash
# mochi-mqtt 2.7.9: MaximumMessageExpiryInterval is 86,400 s unless it is set, and
# it bounds all messages. A retained message with an expiry of a week is told to
# subscribers with a day, and one *without* an expiry, which MQTT 5 (3.3.2.3.3)
# keeps for ever, is given one of a day too: a state that a device retains once is
# told to later subscribers as one that ends.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init expiry >/dev/null 2>&1
go get github.com/mochi-mqtt/server/v2@v2.7.9 github.com/eclipse/paho.golang@v0.23.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(server.AddHook(new(auth.AllowHook), nil))
	listener := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	must(server.AddListener(listener))
	must(server.Serve())
	conn, err := net.Dial("tcp", listener.Address())
	must(err)
	got := make(chan *paho.Publish, 2)
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) { got <- p.Packet; return true, nil },
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = client.Connect(ctx, &paho.Connect{ClientID: "a", CleanStart: true, KeepAlive: 30})
	must(err)
	week := uint32(7 * 86400)
	_, err = client.Publish(ctx, &paho.Publish{Topic: "week", QoS: 1, Retain: true, Payload: []byte("on"), Properties: &paho.PublishProperties{MessageExpiry: &week}})
	must(err)
	_, err = client.Publish(ctx, &paho.Publish{Topic: "never", QoS: 1, Retain: true, Payload: []byte("on")})
	must(err)
	_, err = client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#", QoS: 1}}})
	must(err)
	fmt.Println("mochi-mqtt", mochi.Version)
	same := true
	for range 2 {
		select {
		case p := <-got:
			left := int64(-1)
			if p.Properties.MessageExpiry != nil {
				left = int64(*p.Properties.MessageExpiry)
			}
			fmt.Printf("%s: subscriber is told an expiry of %d s\n", p.Topic, left)
			same = same && left > 86000 && left <= 86400
		case <-ctx.Done():
			panic("nothing came")
		}
	}
	if !same {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run .
