#!/usr/bin/env bash
# mochi-mqtt 2.7.9: a client of MQTT 5 whose CONNECT has Request Problem Information 0
# gets publications without their user properties. The standard (3.1.2.11.7) lets that flag
# take reason strings and user properties away from other packets, never from PUBLISH, and
# wants those passed on unaltered (3.3.2.3.7). paho.golang 0.23.0 sends the 0 whenever a
# program sets any property of CONNECT, the expiry of the session for one, and does not name
# RequestProblemInfo itself. So a device that only asked for a longer session no longer
# sees the unit or the trace id that came as properties; nothing is logged on either side.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init properties >/dev/null 2>&1
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
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// seen connects with the properties and returns how many user properties come with a publication that has one.
func seen(ctx context.Context, address, id string, properties *paho.ConnectProperties) int {
	conn, err := net.Dial("tcp", address)
	must(err)
	got := make(chan int, 1)
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			got <- len(p.Packet.Properties.User)
			return true, nil
		},
	}})
	_, err = client.Connect(ctx, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30, Properties: properties})
	must(err)
	_, err = client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: id, QoS: 1}}})
	must(err)
	_, err = client.Publish(ctx, &paho.Publish{Topic: id, QoS: 1, Payload: []byte("21.5"),
		Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: "unit", Value: "C"}}}})
	must(err)
	select {
	case n := <-got:
		return n
	case <-ctx.Done():
		panic("nothing came")
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(server.AddHook(new(auth.AllowHook), nil))
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	must(server.AddListener(listener))
	must(server.Serve())
	hour := uint32(3600)
	plain := seen(ctx, listener.Address(), "plain", nil)
	expiry := seen(ctx, listener.Address(), "expiry", &paho.ConnectProperties{SessionExpiryInterval: &hour})
	asked := seen(ctx, listener.Address(), "asked", &paho.ConnectProperties{SessionExpiryInterval: &hour, RequestProblemInfo: true})
	fmt.Printf("mochi-mqtt 2.7.9: of 1 user property, %d come without properties of CONNECT, %d with a session expiry, %d with it and RequestProblemInfo\n", plain, expiry, asked)
	if plain != 1 || expiry != 0 || asked != 1 {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
timeout 100 go run .
