package interop

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/frondmq/frond/cmd/interop/peers"
)

var damagesFlag = flag.Int("damages", 6, "how many random damages TestDamage_anything makes; each has its own server")

// damaged is what was done to one file.
type damaged struct{ class, file string }

// damageAnything does one random thing to one random file of a data folder that
// no server runs on.
func damageAnything(t *testing.T, rng *rand.Rand, dir string) damaged {
	t.Helper()
	var files []string
	ok(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			files = append(files, path)
		}
		return nil
	}))
	name := files[rng.IntN(len(files))]
	b := must[[]byte](t)(os.ReadFile(name))
	used := len(bytes.TrimRight(b, "\x00"))
	d := damaged{file: strings.TrimPrefix(name, dir+"/")}
	switch rng.IntN(5) {
	case 0:
		at := rng.IntN(max(used, 1))
		d.class = "bit"
		b[at] ^= 1 << rng.IntN(8)
	case 1:
		at := rng.IntN(max(used, 1)) &^ 4095
		d.class = "page of zeros"
		clear(b[at:min(at+4096, len(b))])
	case 2:
		at := rng.IntN(max(used, 1)) &^ 4095
		d.class = "page of garbage"
		for i := at; i < min(at+4096, len(b)); i++ {
			b[i] = byte(rng.Uint32())
		}
	case 3:
		d.class = "cut"
		b = b[:rng.IntN(used+1)]
	case 4:
		d.class = "removed"
		ok(t, os.Remove(name))
		return d
	}
	ok(t, os.WriteFile(name, b, 0o600))
	return d
}

// TestDamage_anything shows the law of core/DESIGN.md section 4 from outside: a
// producer keeps its acks in a file of its own, the server is killed with -9, one
// random thing happens to any one file of the data folder, and the server is
// started again. Each acknowledged message is there unchanged under its sequence
// or told lost, numbers go on, and old consumers get what is new.
func TestDamage_anything(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	verdicts := make(map[string]int)
	for i := range *damagesFlag {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(i)), func(t *testing.T) {
			verdicts[damageOnce(t, rand.New(rand.NewPCG(seed+uint64(i), 1)))]++
		})
	}
	var lines []string
	for v, n := range verdicts {
		lines = append(lines, fmt.Sprintf("%4d %s", n, v))
	}
	slices.Sort(lines)
	t.Logf("%d damages, -seed %d:\n%s", *damagesFlag, seed, strings.Join(lines, "\n"))
}

func damageOnce(t *testing.T, rng *rand.Rand) (verdict string) {
	verdict = "no verdict"
	s := start(t, peers.FrondKind, peers.Config{JetStream: true})
	ctx := within(t, 2*time.Minute)
	log := newAckLog(t)
	var n64 atomic.Int64
	write := func(n int) {
		t.Helper()
		js := stream(t, connect(t, s))
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for range n / 4 {
					id := fmt.Sprintf("%d-%d-%s", w, n64.Add(1), strings.Repeat("x", 10+w*300))
					ack, err := js.Publish(ctx, "s.a", []byte(id), jetstream.WithRetryAttempts(0))
					if err != nil {
						t.Errorf("publish: %v", err)
						return
					}
					log.add(t, id, ack.Sequence)
				}
			})
		}
		wg.Wait()
	}
	js := stream(t, connect(t, s))
	str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}))
	must[jetstream.Consumer](t)(str.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy}))
	if rng.IntN(4) > 0 { // with files of the stream, and without
		write(40 + rng.IntN(200))
		ok(t, s.Stop())
		restart(t, s)
	}
	write(40 + rng.IntN(200))
	s.Kill()
	var data string
	ok(t, filepath.WalkDir(s.Dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "catalogue.db" {
			data = filepath.Dir(path)
		}
		return err
	}))
	if data == "" {
		t.Fatalf("no data folder in %s", s.Dir)
	}
	d := damageAnything(t, rng, data)
	kind := d.file
	if ext := filepath.Ext(d.file); filepath.Dir(d.file) != "." && ext != "" {
		kind = filepath.Dir(d.file) + "/*" + ext
	}
	verdict = fmt.Sprintf("%-16s %-24s ", d.class, kind)
	t.Logf("%s of %s", d.class, d.file)
	restart(t, s)

	nc := connect(t, s)
	js = stream(t, nc)
	info := func() (last uint64, lost []uint64) {
		var a struct {
			State struct {
				Last uint64 `json:"last_seq"`
				Lost struct {
					Msgs []uint64 `json:"msgs"`
				} `json:"lost"`
			} `json:"state"`
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		m := must[*nats.Msg](t)(nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO.S", nil))
		ok(t, json.Unmarshal(m.Data, &a))
		if a.Error != nil {
			t.Fatalf("%s of %s: the stream: %s", d.class, d.file, a.Error.Description)
		}
		return a.State.Last, a.State.Lost.Msgs
	}
	last, _ := info()
	str = must[jetstream.Stream](t)(js.Stream(ctx, "S"))
	// What is lost may only be found by reading it, so no count of what is pending
	// says when all was read.
	held := make(map[string][]uint64)
	gaps := make(map[uint64]bool)
	for seq := uint64(1); seq <= last; seq++ {
		if m, err := str.GetMsg(ctx, seq); err == nil {
			held[string(m.Data)] = append(held[string(m.Data)], seq)
		} else {
			gaps[seq] = true
		}
	}
	var lost []uint64
	eventually(t, step, func() error {
		_, lost = info()
		for seq := range gaps {
			if !slices.Contains(lost, seq) {
				return fmt.Errorf("%s of %s: %d is not there, lost are %v", d.class, d.file, seq, lost)
			}
		}
		return nil
	})
	missing := 0
	for id, seq := range log.read(t) {
		switch got := held[id]; {
		case len(got) == 1 && got[0] == seq:
		case len(got) == 0 && slices.Contains(lost, seq):
			missing++
		default:
			t.Errorf("%s of %s: %.20s was acknowledged as %d, is at %v, lost are %v", d.class, d.file, id, seq, got, lost)
		}
		if seq > last {
			t.Errorf("%s of %s: acknowledged was %d, the last sequence is %d", d.class, d.file, seq, last)
		}
	}
	told := must[[]byte](t)(exec.CommandContext(ctx, binary(t, peers.FrondKind), "damage", "ls", "--json", "-c", filepath.Join(s.Dir, "server.conf")).Output())
	if missing > 0 && !bytes.Contains(told, []byte(`"S"`)) {
		t.Errorf("%s of %s: %d messages are lost, and frond damage ls says %q", d.class, d.file, missing, told)
	}
	// It goes on.
	ack := must[*jetstream.PubAck](t)(js.Publish(ctx, "s.a", []byte("a new one")))
	if ack.Sequence <= last {
		t.Errorf("%s of %s: a new message got %d, the last one was %d", d.class, d.file, ack.Sequence, last)
	}
	c := must[jetstream.Consumer](t)(str.Consumer(ctx, "c"))
	for came := false; !came; {
		batch := must[jetstream.MessageBatch](t)(c.Fetch(500, jetstream.FetchMaxWait(5*time.Second)))
		n := 0
		for m := range batch.Messages() {
			n++
			came = came || string(m.Data()) == "a new one"
			ok(t, m.Ack())
			if came {
				break
			}
		}
		if n == 0 {
			t.Fatalf("%s of %s: the new message does not come to the old consumer", d.class, d.file)
		}
	}
	switch {
	case t.Failed():
		return verdict + "BROKEN"
	case missing > 0:
		return verdict + "some told lost"
	case len(bytes.TrimSpace(told)) > 0:
		return verdict + "all there, told"
	}
	return verdict + "all there"
}
