#!/usr/bin/env bash
# mochi-mqtt 2.7.9: what waited at QoS 1 for a client that was away comes in random order
# when it is back. The queue is a map, sorted by the second in which each message was taken,
# with nothing to decide within one second (and cut to 16 bits, so that it turns round each
# 18 hours). MQTT 5 (4.6) promises the order of each topic. A valve that is told "open",
# "close" within a second while it is offline may end up open; live, all is in order.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init queue >/dev/null 2>&1
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
	"slices"
	"strconv"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

const count = 40

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(ctx context.Context, address, id string, got chan int) *paho.Client {
	conn, err := net.Dial("tcp", address)
	must(err)
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			n, err := strconv.Atoi(string(p.Packet.Payload))
			must(err)
			got <- n
			return true, nil
		},
	}})
	hour := uint32(3600)
	_, err = client.Connect(ctx, &paho.Connect{ClientID: id, KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &hour}})
	must(err)
	return client
}

// publish sends the numbers up to count, and returns them as they came.
func publish(ctx context.Context, pub *paho.Client, back func(), got chan int) (order []int) {
	for i := range count {
		_, err := pub.Publish(ctx, &paho.Publish{Topic: "valve", QoS: 1, Payload: []byte(strconv.Itoa(i))})
		must(err)
	}
	// It acknowledges before it queues; the answer to this comes behind the queueing.
	_, err := pub.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "other", QoS: 1}}})
	must(err)
	back()
	for len(order) < count {
		select {
		case n := <-got:
			order = append(order, n)
		case <-ctx.Done():
			panic("not all came")
		}
	}
	return order
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(server.AddHook(new(auth.AllowHook), nil))
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	must(server.AddListener(listener))
	must(server.Serve())
	got := make(chan int, count)
	dev, pub := connect(ctx, listener.Address(), "device", got), connect(ctx, listener.Address(), "pub", nil)
	_, err := dev.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "valve", QoS: 1}}})
	must(err)
	live := publish(ctx, pub, func() {}, got)
	must(dev.Disconnect(&paho.Disconnect{}))
	<-dev.Done()
	for { // until the server has seen it go
		if c, ok := server.Clients.Get("device"); ok && c.Closed() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	away := publish(ctx, pub, func() { connect(ctx, listener.Address(), "device", got) }, got)
	fmt.Printf("mochi-mqtt 2.7.9: live in order %t, after an absence %t: %v\n", slices.IsSorted(live), slices.IsSorted(away), away)
	if !slices.IsSorted(live) || slices.IsSorted(away) {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
timeout 100 go run .
