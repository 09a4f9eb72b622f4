#!/usr/bin/env bash
# paho.mqtt.golang 1.5.1 (FileStore) and paho.golang 0.23.0 (autopaho/queue/file):
# both keep publications on disk until a broker has them, and neither ever calls
# fsync or fdatasync, on the file or on its folder, nor opens with O_SYNC. They
# survive the end of the process, not the end of the power: after a pulled plug
# files of zero bytes, or none, are what ext4 and vfat promise.
# Needs go and strace (apt).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
command -v strace >/dev/null || apt-get install -y -qq strace >/dev/null
go mod init stores >/dev/null 2>&1
go get github.com/eclipse/paho.golang@v0.23.0 github.com/eclipse/paho.mqtt.golang@v1.5.1 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/eclipse/paho.golang/autopaho/queue/file"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	must(os.MkdirAll("queue", 0o755))
	queue, err := file.New("queue", "m", ".msg")
	must(err)
	store := mqtt.NewFileStore("store")
	store.Open()
	for i := range 10 {
		must(queue.Enqueue(strings.NewReader("reading")))
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Qos, p.MessageID, p.Payload = "t", 1, uint16(i+1), []byte("reading")
		store.Put(fmt.Sprintf("o.%d", i+1), p)
	}
	store.Close()
	for _, dir := range []string{"queue", "store"} {
		files, err := os.ReadDir(dir)
		must(err)
		fmt.Printf("%s: %d files\n", dir, len(files))
	}
}
GO
go mod tidy >/dev/null 2>&1
go build -o stores .
strace -f -o trace -e trace=openat,fsync,fdatasync,sync_file_range,syncfs,sync ./stores | tee said
syncs=$(grep -cE 'sync\(|sync_file_range|O_D?SYNC' trace || true)
echo "paho.mqtt.golang 1.5.1, paho.golang 0.23.0: $syncs syncs for 20 messages on disk"
[ "$syncs" = 0 ] && [ "$(tr '\n' ' ' <said)" = 'queue: 10 files store: 10 files ' ]
