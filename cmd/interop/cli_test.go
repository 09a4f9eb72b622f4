package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// shell is the `nats` client of one test; run expects each pattern in the
// output.
type shell struct {
	t *testing.T
	n peers.Nats
}

func newShell(t *testing.T, kind peers.Kind) shell {
	t.Helper()
	return shell{t, cli(t, start(t, kind, peers.Config{JetStream: true}))}
}

func (sh shell) run(args string, want ...string) string {
	sh.t.Helper()
	return sh.feed("", strings.Fields(args), want...)
}

func (sh shell) feed(stdin string, args []string, want ...string) string {
	sh.t.Helper()
	out, err := sh.n.Run(within(sh.t, step), stdin, args...)
	if err != nil {
		sh.t.Fatal(err)
	}
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(out) {
			sh.t.Fatalf("nats %s: no %q in\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

// fails runs a command that must exit with an error and say want.
func (sh shell) fails(args, want string) {
	sh.t.Helper()
	out, err := sh.n.Run(within(sh.t, step), "", strings.Fields(args)...)
	if err == nil || !regexp.MustCompile(want).MatchString(out) {
		sh.t.Fatalf("nats %s: error %v, no %q in\n%s", args, err, want, out)
	}
}

// background starts a command and waits for a line.
func (sh shell) background(ready string, args string) *peers.Process {
	sh.t.Helper()
	p, err := sh.n.Start(strings.Fields(args)...)
	if err != nil {
		sh.t.Fatal(err)
	}
	sh.t.Cleanup(p.Kill)
	sh.await(p, ready)
	return p
}

func (sh shell) await(p *peers.Process, line string) {
	sh.t.Helper()
	if _, err := p.Await(within(sh.t, step), regexp.MustCompile(line)); err != nil {
		sh.t.Fatal(err)
	}
}

func TestCLI_core(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		sh := shell{t, cli(t, start(t, kind, peers.Config{}))}
		sub := sh.background(`Subscribing on greet`, "sub greet.> --count 2")
		// "Subscribing" is printed before the server has the subscription, so
		// publish until the first message is there.
		eventually(t, step, func() error {
			sh.feed("", []string{"pub", "greet.joe", "hello"}, `Published 5 bytes to "greet\.joe"`)
			if sub.Find(regexp.MustCompile(`Received on "greet\.joe"`)) == nil {
				return fmt.Errorf("nothing received: %s", sub.Output())
			}
			return nil
		})
		sh.feed("", []string{"pub", "greet.joe", "hello", "-H", "Who: me"})
		<-sub.Done()
		ok(t, sub.Err())

		sh.background(`Listening on "svc"`, "reply svc pong")
		eventually(t, step, func() error {
			out, err := sh.n.Run(within(t, step), "", "req", "svc", "ping", "--timeout", "2s")
			if err != nil || !strings.Contains(out, "pong") {
				return fmt.Errorf("%v: %s", err, out)
			}
			return nil
		})
		sh.run("req nobody.there x --timeout 2s", "No responders")
		sh.run("rtt --json", `[0-9]`)
	})
}

func TestCLI_streams_and_consumers(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		sh := newShell(t, kind)
		sh.run("account info", `JetStream Account Information`, `Streams: *0`)
		sh.run("stream ls", "No Streams defined")
		sh.run("stream add ORDERS --subjects orders.> --storage file --defaults", "Stream ORDERS was created")
		sh.run("stream add MEM --subjects mem --storage memory --max-msgs 10 --defaults", "Stream MEM was created")
		sh.fails("stream add BAD --subjects orders.x --storage file --defaults", "overlap")
		sh.run("stream ls --names", "MEM", "ORDERS")
		sh.run("stream ls", "ORDERS")
		for i := 1; i <= 5; i++ {
			sh.run(fmt.Sprintf("pub orders.new order%d --jetstream", i), fmt.Sprintf("Sequence: *%d", i))
		}
		sh.run("stream info ORDERS", `Messages: *5`, `Subjects: *orders\.>`)
		var info struct {
			State struct {
				Messages uint64 `json:"messages"`
				LastSeq  uint64 `json:"last_seq"`
			} `json:"state"`
		}
		ok(t, json.Unmarshal([]byte(sh.run("stream info ORDERS --json")), &info))
		if info.State.Messages != 5 || info.State.LastSeq != 5 {
			t.Fatalf("state %+v", info.State)
		}
		sh.run("stream subjects ORDERS", `orders\.new`)
		sh.run("stream get ORDERS 3", `Item: ORDERS#3`, "order3")
		sh.run("stream get ORDERS -S orders.new", "order5")
		sh.run("stream rmm ORDERS 2 --force")
		sh.fails("stream get ORDERS 2", "(?i)no message found")
		sh.run("stream edit ORDERS --max-msgs 100 --force", "Stream ORDERS was updated")

		sh.run("consumer add ORDERS PULL --pull --ack explicit --deliver all --replay instant --defaults", "Consumer ORDERS > PULL")
		sh.run("consumer ls ORDERS", "PULL")
		sh.run("consumer next ORDERS PULL", "order1", "(?i)acknowledged message")
		sh.run("consumer next ORDERS PULL --count 2", "order3", "order4")
		sh.run("consumer info ORDERS PULL", `Unprocessed Messages: *1`, `Outstanding Acks: *0`)
		sh.run("consumer add ORDERS PUSH --target push.here --ack none --deliver last --replay instant --defaults", "Consumer ORDERS > PUSH")
		sh.run("consumer rm ORDERS PUSH --force")
		sh.run("consumer report ORDERS", "PULL")
		sh.run("stream report", "ORDERS")

		sh.run("stream purge ORDERS --force", `Messages: *0`)
		sh.run("consumer rm ORDERS PULL --force")
		sh.run("stream rm ORDERS --force")
		sh.run("stream rm MEM --force")
		sh.run("stream ls", "No Streams defined")
		sh.fails("stream info ORDERS", "(?i)not found|could not")
	})
}

func TestCLI_kv(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		sh := newShell(t, kind)
		sh.run("kv add CFG --history 3", `CFG`)
		sh.run("kv put CFG a.b one", "one")
		sh.run("kv put CFG a.b two", "two")
		sh.run("kv get CFG a.b --raw", `^two\n?$`)
		sh.run("kv create CFG new 1")
		sh.fails("kv create CFG new 2", "(?i)exists|wrong last sequence")
		sh.run("kv update CFG new 3 3")
		sh.fails("kv update CFG new 4 1", "(?i)wrong last sequence")
		sh.run("kv history CFG a.b", "one", "two")
		sh.run("kv ls CFG", `a\.b`, "new")
		watch := sh.background(`CFG > a\.b`, "kv watch CFG")
		sh.run("kv put CFG live yes")
		sh.await(watch, `CFG > live.*yes`)
		sh.run("kv del CFG a.b --force")
		sh.await(watch, `DEL.*CFG > a\.b`)
		sh.fails("kv get CFG a.b", "(?i)not found")
		sh.run("kv purge CFG new --force")
		sh.run("kv info CFG", `History Kept: *3`)
		sh.run("kv compact CFG --force")
		sh.run("kv rm CFG --force")
	})
}

func TestCLI_object(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		sh := newShell(t, kind)
		dir := t.TempDir()
		// Three chunks of 128 KB and a bit.
		want := strings.Repeat("0123456789abcdef", 26_000)
		in, out := filepath.Join(dir, "in.bin"), filepath.Join(dir, "out.bin")
		ok(t, os.WriteFile(in, []byte(want), 0o600))
		sh.run("object add OBJ", "OBJ")
		sh.run("object put OBJ "+in+" --name file --no-progress --force", "SHA-256")
		sh.run("object ls OBJ", "file")
		sh.run("object info OBJ file", `Chunks: *4`)
		sh.run("object get OBJ file --output " + out + " --no-progress --force")
		got, err := os.ReadFile(out)
		ok(t, err)
		if string(got) != want {
			t.Fatalf("got %d bytes back, want the %d that were put", len(got), len(want))
		}
		sh.run("object rm OBJ file --force")
		sh.run("object ls OBJ", "(?i)no entries|no objects|no visible")
		sh.run("object rm OBJ --force")
	})
}

func TestCLI_bench(t *testing.T) {
	eachServer(t, func(t *testing.T, kind peers.Kind) {
		sh := newShell(t, kind)
		sh.run("bench pub bench.x --msgs 2000 --size 64 --clients 2 --no-progress", `(?i)msgs/sec`)
		sub := sh.background(`(?i)starting .*sub`, "bench sub bench.y --msgs 1000 --no-progress")
		done := func() error {
			sh.run("bench pub bench.y --msgs 1000 --size 64 --no-progress")
			select {
			case <-sub.Done():
				return sub.Err()
			default:
				return fmt.Errorf("subscriber is not done")
			}
		}
		eventually(t, step, done)
		// Not with --create: natscli 0.5.0 then asks for allow_batched, which
		// needs API level 3.
		sh.run("stream add B1 --subjects bench.js --storage file --defaults", "Stream B1 was created")
		sh.run("bench js pub sync bench.js --stream B1 --msgs 200 --size 64 --no-progress", `(?i)msgs/sec`)
		sh.run("bench js pub async bench.js --stream B1 --msgs 2000 --size 64 --batch 200 --no-progress", `(?i)msgs/sec`)
		sh.run("stream info B1", `Messages: *2,200`)
		sh.run("bench js consume --stream B1 --msgs 2200 --no-progress", `(?i)msgs/sec`)
	})
}
