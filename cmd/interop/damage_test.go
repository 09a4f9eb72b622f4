package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
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

// damageClasses are the things that are done to a file.
var damageClasses = []string{"bit", "page of zeros", "page of garbage", "cut", "removed"}

// damaged is what was done to one file.
type damaged struct{ class, file string }

func (d damaged) String() string { return d.class + " of " + d.file }

// kindOf is what files of a name are.
func kindOf(file string) string {
	if ext := filepath.Ext(file); filepath.Dir(file) != "." && ext != "" {
		return filepath.Dir(file) + "/*" + ext
	}
	return file
}

// damageAnything does one thing to one random file of a data folder that no
// server runs on. Which of the classes it is and which kind of file goes by the
// seed in turn, so that any row of seeds has all of them.
func damageAnything(t *testing.T, seed uint64, rng *rand.Rand, dir string) damaged {
	t.Helper()
	kinds := make(map[string][]string)
	ok(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			kind := kindOf(strings.TrimPrefix(path, dir+"/"))
			kinds[kind] = append(kinds[kind], path)
		}
		return nil
	}))
	class := int(seed % uint64(len(damageClasses)))
	names := slices.Sorted(maps.Keys(kinds))
	// One class goes through all kinds, and the next one begins at another.
	files := kinds[names[int(seed/uint64(len(damageClasses))+seed%uint64(len(damageClasses)))%len(names)]]
	name := files[rng.IntN(len(files))]
	b := must[[]byte](t)(os.ReadFile(name))
	used := len(bytes.TrimRight(b, "\x00"))
	d := damaged{damageClasses[class], strings.TrimPrefix(name, dir+"/")}
	switch class {
	case 0:
		at := rng.IntN(max(used, 1))
		b[at] ^= 1 << rng.IntN(8)
	case 1:
		at := rng.IntN(max(used, 1)) &^ 4095
		clear(b[at:min(at+4096, len(b))])
	case 2:
		at := rng.IntN(max(used, 1)) &^ 4095
		for i := at; i < min(at+4096, len(b)); i++ {
			b[i] = byte(rng.Uint32())
		}
	case 3:
		b = b[:rng.IntN(used+1)]
	case 4:
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
// or told lost, numbers go on, and old consumers get what is new. That the catalogue
// was removed is told though all of it is found again.
//
// The one thing that is allowed beside is in the DESIGN, too: the file of the
// journal that is removed or cut has all that the disk knows of the stream. Then
// the stream is gone, and that is told.
func TestDamage_anything(t *testing.T) {
	seed := *seedFlag
	switch {
	case seed != 0:
	case os.Getenv("FROND_SOAK") != "":
		seed = uint64(time.Now().UnixNano())
	default:
		seed = 6000
	}
	verdicts, classes, kinds := make(map[string]int), make(map[string]int), make(map[string]int)
	for i := range *damagesFlag {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(i)), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed+uint64(i), 1))
			d, verdict := damageOnce(t, rng, rng.IntN(4) > 0, func(data string) damaged { return damageAnything(t, seed+uint64(i), rng, data) })
			verdicts[fmt.Sprintf("%-16s %-24s %s", d.class, kindOf(d.file), verdict)]++
			classes[d.class]++
			kinds[kindOf(d.file)]++
		})
	}
	var lines []string
	for v, n := range verdicts {
		lines = append(lines, fmt.Sprintf("%4d %s", n, v))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[5:], b[5:]) })
	t.Logf("%d damages, -seed %d:\n%s", *damagesFlag, seed, strings.Join(lines, "\n"))
	for _, class := range damageClasses {
		if want := *damagesFlag / len(damageClasses); classes[class] < want {
			t.Errorf("%d times %s, want %d at least", classes[class], class, want)
		}
	}
	for _, kind := range []string{"catalogue.db", "journal/*.seg", "journal/*.id", "streams/1/*.chunks"} {
		if want := *damagesFlag / 20; kinds[kind] < want {
			t.Errorf("%d times %s, want %d at least", kinds[kind], kind, want)
		}
	}
}

// TestDamage_cases does the same with what operators have met, one by one. The names
// are short, for the folder's name must fit into that of a socket.
func TestDamage_cases(t *testing.T) {
	newest := func(t *testing.T, data, pattern string) (string, []byte) {
		names := must[[]string](t)(filepath.Glob(filepath.Join(data, pattern)))
		slices.Reverse(names)
		for _, name := range names { // segments made ahead have nothing
			if b := must[[]byte](t)(os.ReadFile(name)); bytes.Contains(b, []byte("xxxxxxxx")) || len(names) == 1 {
				return name, b
			}
		}
		t.Fatalf("no file of %v has messages", names)
		return "", nil
	}
	const segments, catalogue, chunks = "journal/*.seg", "catalogue.db", "streams/*/*.chunks"
	change := func(pattern string, f func(b []byte) []byte) func(t *testing.T, data string) {
		return func(t *testing.T, data string) {
			name, b := newest(t, data, pattern)
			ok(t, os.WriteFile(name, f(b), 0o600))
		}
	}
	bitAt := func(at func(b []byte) int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at(b)] ^= 4; return b }
	}
	used := func(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }
	for _, x := range []struct {
		name    string
		drained bool
		do      func(t *testing.T, data string)
	}{
		{"journal bit", true, change(segments, bitAt(func(b []byte) int { return bytes.LastIndex(b, []byte("xxxxxxxx")) }))},
		{"journal end", true, change(segments, func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("xxxxxxxx")) &^ 4095
			clear(b[at : at+4096])
			return b
		})},
		{"creation bit", false, change(segments, bitAt(func(b []byte) int { return bytes.Index(b, []byte("the creation")) }))},
		{"no catalogue", true, func(t *testing.T, data string) { ok(t, os.Remove(filepath.Join(data, catalogue))) }},
		{"no catalogue or files", false, func(t *testing.T, data string) { ok(t, os.Remove(filepath.Join(data, catalogue))) }},
		{"catalogue meta 0", true, change(catalogue, bitAt(func([]byte) int { return 64 }))},
		{"catalogue meta 1", true, change(catalogue, bitAt(func([]byte) int { return 4096 + 64 }))},
		{"catalogue empty", true, change(catalogue, func(b []byte) []byte { return b[:0] })},
		{"store bit", true, change(chunks, bitAt(func(b []byte) int { return bytes.LastIndex(b, []byte("xxxxxxxx")) }))},
		{"store empty", true, change(chunks, func(b []byte) []byte { return b[:0] })},
		{"store garbage", true, change(chunks, func(b []byte) []byte { return bytes.Repeat([]byte("garbage "), 999) })},
		{"store half", true, change(chunks, func(b []byte) []byte { return b[:used(b)/2] })},
		{"store folder", true, func(t *testing.T, data string) {
			name, _ := newest(t, data, chunks)
			ok(t, os.Remove(name))
			ok(t, os.Mkdir(name, 0o700))
		}},
		{"store stray", true, func(t *testing.T, data string) {
			name, b := newest(t, data, chunks)
			ok(t, os.WriteFile(filepath.Join(filepath.Dir(name), "old.chunks"), b, 0o600))
		}},
		{"store gone", true, func(t *testing.T, data string) { ok(t, os.RemoveAll(filepath.Join(data, "streams", "1"))) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, verdict := damageOnce(t, rand.New(rand.NewPCG(1, 1)), x.drained, func(data string) damaged {
				x.do(t, data)
				return damaged{x.name, "the data folder"}
			})
			t.Log(verdict)
		})
	}
}

// tellings are the ways in which a server tells of damage.
func tellings(t *testing.T, s *peers.Server) (told map[string]bool, list []byte) {
	t.Helper()
	told = make(map[string]bool)
	list = bytes.TrimSpace(must[[]byte](t)(exec.CommandContext(t.Context(), binary(t, peers.FrondKind), "damage", "ls", "--json", "-c", filepath.Join(s.Dir, "server.conf")).Output()))
	told["damage ls"] = len(list) > 0 && !bytes.Equal(list, []byte("[]"))
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTPAddr()+"/healthz?details=true", nil))
	r := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer r.Body.Close()
	body := must[[]byte](t)(io.ReadAll(r.Body))
	told["/healthz"] = r.StatusCode == http.StatusServiceUnavailable && bytes.Contains(body, []byte(`"DAMAGE"`))
	told["the log"] = strings.Contains(s.Log(), "JetStream damage: ")
	return told, list
}

// damageOnce has a server write, kills it, does something to its data folder, and
// judges what comes back. drained: the files of the stream have a part of it.
func damageOnce(t *testing.T, rng *rand.Rand, drained bool, damage func(data string) damaged) (d damaged, verdict string) {
	d, verdict = damaged{"not made", ""}, "BROKEN"
	defer func() {
		if t.Failed() {
			verdict = "BROKEN"
		}
	}()
	s := start(t, peers.FrondKind, peers.Config{JetStream: true, HTTP: true})
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
	str := must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Description: "the creation"}))
	must[jetstream.Consumer](t)(str.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy}))
	if drained {
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
	d = damage(data)
	t.Logf("%v, drained before: %v", d, drained)
	restart(t, s)

	nc := connect(t, s)
	js = stream(t, nc)
	if _, err := js.Stream(ctx, "S"); errors.Is(err, jetstream.ErrStreamNotFound) && !drained &&
		(d.class == "cut" || d.class == "removed") && kindOf(d.file) == "journal/*.seg" {
		told, list := tellings(t, s)
		for way, yes := range told {
			if !yes {
				t.Errorf("%v: the stream is gone, and %s does not say so; frond damage ls: %s", d, way, list)
			}
		}
		must[jetstream.Stream](t)(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}))
		must[*jetstream.PubAck](t)(js.Publish(ctx, "s.a", []byte("a new one")))
		return d, "the stream is gone, told"
	}
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
			t.Fatalf("%v: the stream: %s", d, a.Error.Description)
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
				return fmt.Errorf("%v: %d is not there, lost are %v", d, seq, lost)
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
			t.Errorf("%v: %.20s was acknowledged as %d, is at %v, lost are %v", d, id, seq, got, lost)
		}
		if seq > last {
			t.Errorf("%v: acknowledged was %d, the last sequence is %d", d, seq, last)
		}
	}
	// What a read finds is told a moment after the read is answered.
	var told map[string]bool
	eventually(t, step, func() error {
		var list []byte
		told, list = tellings(t, s)
		for way, yes := range told {
			if (missing > 0 || d == damaged{"removed", "catalogue.db"}) && !yes {
				return fmt.Errorf("%v: %d messages are lost, and %s does not say so", d, missing, way)
			}
			if yes != told["damage ls"] {
				return fmt.Errorf("%v: told are %v; frond damage ls: %s", d, told, list)
			}
		}
		if missing > 0 && !bytes.Contains(list, []byte(`"S"`)) {
			return fmt.Errorf("%v: %d messages are lost, and frond damage ls says %q", d, missing, list)
		}
		return nil
	})
	// It goes on.
	ack := must[*jetstream.PubAck](t)(js.Publish(ctx, "s.a", []byte("a new one")))
	if ack.Sequence <= last {
		t.Errorf("%v: a new message got %d, the last one was %d", d, ack.Sequence, last)
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
			t.Fatalf("%v: the new message does not come to the old consumer", d)
		}
	}
	switch {
	case missing > 0:
		return d, "some told lost"
	case told["damage ls"]:
		return d, "all there, told"
	}
	return d, "all there"
}
