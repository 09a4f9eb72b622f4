#!/usr/bin/env bash
# mochi-mqtt 2.7.9 with its bolt hook, for persistence: what waits at QoS 1 for a client that
# is away is written to the file without its packet id. After a restart the messages have the
# id 0, one over the other, and 0 cannot be sent: the client is let in with "session present",
# gets nothing, and is disconnected; so it is each time it comes back, until it gives up its
# session by a clean start. The queue is gone then, and its publishers had their PUBACK. Without a restart
# all that waited comes, so it takes a power cut in the field to see it.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init restart >/dev/null 2>&1
go get github.com/mochi-mqtt/server/v2@v2.7.9 github.com/mochi-mqtt/server/v2/hooks/storage/bolt@v2.7.9 \
  github.com/eclipse/paho.golang@v0.23.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/listeners"
)

const count = 10

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func start() (*mqtt.Server, string) {
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(server.AddHook(new(auth.AllowHook), nil))
	must(server.AddHook(new(bolt.Hook), &bolt.Options{Path: "mochi.bolt"}))
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	must(server.AddListener(listener))
	must(server.Serve())
	return server, listener.Address()
}

func connect(ctx context.Context, address, id string, clean bool, got chan string) (*paho.Client, bool) {
	conn, err := net.Dial("tcp", address)
	must(err)
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			got <- string(p.Packet.Payload)
			return true, nil
		},
	}})
	hour := uint32(3600)
	ack, err := client.Connect(ctx, &paho.Connect{ClientID: id, CleanStart: clean, KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &hour}})
	must(err)
	return client, ack.SessionPresent
}

// wait leaves the server with a session for which messages wait.
func wait(ctx context.Context, server *mqtt.Server, address string) {
	dev, _ := connect(ctx, address, "device", true, nil)
	_, err := dev.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "jobs", QoS: 1}}})
	must(err)
	must(dev.Disconnect(&paho.Disconnect{}))
	<-dev.Done()
	for c, ok := server.Clients.Get("device"); ok && !c.Closed(); { // until the server has seen it go
		time.Sleep(10 * time.Millisecond)
	}
	pub, _ := connect(ctx, address, "pub", true, nil)
	for i := range count {
		_, err := pub.Publish(ctx, &paho.Publish{Topic: "jobs", QoS: 1, Payload: []byte(strconv.Itoa(i))})
		must(err)
	}
	// It acknowledges before it queues; the answer to this comes behind the queueing.
	_, err = pub.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "other", QoS: 1}}})
	must(err)
	must(pub.Disconnect(&paho.Disconnect{}))
	<-pub.Done()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	server, address := start()
	wait(ctx, server, address)
	got := make(chan string, 2*count)
	dev, _ := connect(ctx, address, "device", false, got)
	for range count {
		select {
		case <-got:
		case <-ctx.Done():
			panic("without a restart not all came")
		}
	}
	must(dev.Disconnect(&paho.Disconnect{}))
	fmt.Printf("mochi-mqtt 2.7.9, bolt: of %d that waited %d come without a restart\n", count, count)

	wait(ctx, server, address)
	must(server.Close())
	server, address = start()
	for try := range 3 {
		dev, present := connect(ctx, address, "device", false, got)
		select {
		case <-dev.Done():
		case <-ctx.Done():
			panic("not disconnected")
		}
		fmt.Printf("behind a restart, connection %d: session present %t, %d come, disconnected\n", try+1, present, len(got))
		if !present || len(got) != 0 {
			os.Exit(1)
		}
	}
	dev, _ = connect(ctx, address, "device", true, got)
	_, err := dev.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "jobs", QoS: 1}}})
	must(err)
	fmt.Println("with a clean start it stays")
	must(server.Close())
}
GO
go mod tidy >/dev/null 2>&1
timeout 110 go run .
