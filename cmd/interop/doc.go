// Package interop holds the tests that need real peers: the stock nats-server,
// nats.go, the `nats` command line client, MQTT clients.
//
// What for: a test here takes the server under test as a parameter. The stock
// server runs the same script first, so a test that is wrong fails there; then
// frond runs it. Raw transcripts (testdata/raw) are recorded from the stock
// server and compared line by line with both.
//
// What not: nothing here imports frond (see package peers), and nothing here
// is part of the product: this is a module of its own, so that go.mod of the
// product lists only what the product needs.
//
// Where to start: suite_test.go for how a test gets its servers, raw_test.go
// for transcripts, testdata/raw for their format by example.
//
//	go test ./...                          both servers
//	go test -run Raw -servers frond .      frond only
//	go test -run Raw -servers stock -rewrite .   record the transcripts again
package interop
