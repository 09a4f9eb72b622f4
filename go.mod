module github.com/frondmq/frond

go 1.26.0

require (
	github.com/klauspost/compress v1.20.3
	github.com/mochi-mqtt/server/v2 v2.7.9
	github.com/nats-io/nkeys v0.4.17
	github.com/tinylib/msgp v1.6.5
	go.etcd.io/bbolt v1.5.0
	golang.org/x/crypto v0.58.0
	golang.org/x/sys v0.49.0
	nhooyr.io/websocket v1.8.17
)

require github.com/philhofer/fwd v1.2.0 // indirect
