package core_test

import (
	"testing"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream/jsclient"
	"github.com/frondmq/frond/core/jetstream/jsclient/jsclienttest"
	"github.com/frondmq/frond/core/servertest"
)

// The engine of this server, by receipts.
func TestStreamClient(t *testing.T) {
	var tap servertest.Tap
	servertest.Start(t, servertest.JetStream(t), servertest.Modules(&tap))
	acc, _ := tap.Account(config.GlobalAccount)
	jsclienttest.Run(t, jsclienttest.Env{Client: func() (*jsclient.Client, error) { return tap.StreamClient(acc, "") }})
}
