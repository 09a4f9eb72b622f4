#!/usr/bin/env bash
# paho.mqtt.golang 1.5.1: while the client reconnects after a lost connection,
# Publish at QoS 0 returns a token that is done, without an error, and
# IsConnected() is true (it is IsConnectionOpen() that is false). The message is
# thrown away: it is not sent now, nor after the reconnect. At QoS 1 the token stays
# open and the message is sent. A gateway that counts failures by token.Error()
# counts none for the whole outage.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init outage >/dev/null 2>&1
go get github.com/eclipse/paho.mqtt.golang@v1.5.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// broker accepts clients while it is up, and says what they publish.
type broker struct {
	got chan string
	mu  sync.Mutex
	up  bool
	c   net.Conn
}

func (b *broker) set(up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.up = up; !up {
		b.c.Close()
	}
}

func (b *broker) serve(c net.Conn) {
	b.mu.Lock()
	up := b.up
	b.c = c
	b.mu.Unlock()
	if !up {
		c.Close()
		return
	}
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			packets.NewControlPacket(packets.Connack).Write(c)
		case *packets.PublishPacket:
			if p.Qos > 0 {
				ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
				ack.MessageID = p.MessageID
				ack.Write(c)
			}
			b.got <- string(p.Payload)
		}
	}
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	b := &broker{got: make(chan string, 10), up: true}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	reconnecting := make(chan struct{}, 10)
	back := make(chan struct{}, 10)
	o := mqtt.NewClientOptions().AddBroker("tcp://" + l.Addr().String()).SetClientID("gateway").
		SetMaxReconnectInterval(time.Second).
		SetReconnectingHandler(func(mqtt.Client, *mqtt.ClientOptions) { reconnecting <- struct{}{} }).
		SetOnConnectHandler(func(mqtt.Client) { back <- struct{}{} })
	c := mqtt.NewClient(o)
	c.Connect().Wait()
	<-back
	b.set(false)
	<-reconnecting
	one, zero := c.Publish("t", 1, false, "QoS 1"), c.Publish("t", 0, false, "QoS 0")
	done := zero.WaitTimeout(5 * time.Second)
	fmt.Printf("paho.mqtt.golang 1.5.1 while away: connected %v, QoS 0 done %v, error %v\n", c.IsConnected(), done, zero.Error())
	connected := c.IsConnected()
	b.set(true)
	<-back
	one.Wait()
	c.Publish("t", 1, false, "last").Wait()
	var got []string
	for len(got) == 0 || got[len(got)-1] != "last" {
		got = append(got, <-b.got)
	}
	fmt.Printf("the broker got %q\n", got)
	c.Disconnect(100)
	if !connected || !done || zero.Error() != nil || fmt.Sprint(got) != "[QoS 1 last]" {
		os.Exit(1)
	}
}
GO
go run .
