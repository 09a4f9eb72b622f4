#!/usr/bin/env bash
# nats-server 2.15.3: a client of a leaf node asks who it is ($SYS.REQ.USER.INFO)
# and is answered twice. The hub announces its interest in the subject over the leaf
# link, so it is asked too, and tells what the *link* may do: the denied publishes
# and subscriptions of the leaf's user, as if they were the client's. A request takes
# the first answer, mostly the right one; who collects answers, as for the other
# $SYS requests, has two that disagree.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	ho := &server.Options{ServerName: "hub"}
	ho.LeafNode.Host, ho.LeafNode.Port = "127.0.0.1", -1
	hub := start(ho)
	defer hub.Shutdown()
	u, err := url.Parse(fmt.Sprintf("nats-leaf://127.0.0.1:%d", ho.LeafNode.Port))
	check(err)
	eo := &server.Options{ServerName: "edge"}
	eo.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{u}}}
	edge := start(eo)
	defer edge.Shutdown()
	nc, err := nats.Connect(edge.ClientURL())
	check(err)
	defer nc.Close()
	// Once a subscription of the hub is heard at the edge, so is all that it had before.
	far, err := nats.Connect(hub.ClientURL())
	check(err)
	defer far.Close()
	echo, err := far.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(nil) })
	check(err)
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err = nc.Request("echo", nil, 100*time.Millisecond); err == nil {
			break
		}
		if time.Now().After(end) {
			panic("no link")
		}
	}
	check(echo.Unsubscribe())

	inbox := nats.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	check(err)
	check(nc.PublishRequest("$SYS.REQ.USER.INFO", inbox, nil))
	type answer struct {
		Server struct{ Name string }
		Data   struct{ Permissions json.RawMessage }
	}
	from := map[string]string{}
	for {
		m, err := sub.NextMsg(2 * time.Second)
		if err != nil {
			break
		}
		var a answer
		check(json.Unmarshal(m.Data, &a))
		from[a.Server.Name] = string(a.Data.Permissions)
		fmt.Printf("nats-server 2.15.3, %s: permissions %q\n", a.Server.Name, a.Data.Permissions)
	}
	if len(from) != 2 || from["edge"] != "" || from["hub"] == "" {
		os.Exit(1)
	}
}
GO
go run .
