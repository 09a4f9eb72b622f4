#!/usr/bin/env bash
# nats-server 2.15.3: a publication whose acknowledgement was lost is sent again with the same Nats-Msg-Id and
# acknowledged as a duplicate. With an expected last sequence as well (of the stream or the subject, as
# a KV update has it), that is checked first, and the first try has made it wrong: what was stored
# is refused as "wrong last sequence", and a gateway on a bad link gives up, or takes its own write
# for another's. With an expected last message id the id is looked at first.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/nats-server.lib"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	withStreams(use)
}

func use(ctx context.Context, js jetstream.JetStream) {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "SET", Subjects: []string{"set.>"}})
	check(err)
	twice := func(name, subject string, options ...jetstream.PublishOpt) {
		options = append(options, jetstream.WithMsgID(name))
		first, err := js.Publish(ctx, subject, []byte("on"), options...)
		check(err)
		again, err := js.Publish(ctx, subject, []byte("on"), options...)
		fmt.Printf("%s: stored as %d, again: duplicate %v, error %v\n", name, first.Sequence, err == nil && again.Duplicate, err)
	}
	twice("id alone", "set.pump")
	twice("last of the stream", "set.pump", jetstream.WithExpectLastSequence(1))
	twice("last of the subject", "set.pump", jetstream.WithExpectLastSequencePerSubject(2))
	twice("last id", "set.pump", jetstream.WithExpectLastMsgID("last of the subject"))
}
GO
go run . | tee said
cat >want <<'WANT'
id alone: stored as 1, again: duplicate true, error <nil>
last of the stream: stored as 2, again: duplicate false, error nats: nats: API error: code=400 err_code=10071 description=wrong last sequence: 2
last of the subject: stored as 3, again: duplicate false, error nats: nats: API error: code=400 err_code=10071 description=wrong last sequence: 3
last id: stored as 4, again: duplicate true, error <nil>
WANT
cmp said want
