package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// notRun are commands of the README that this test does not run, and why. Each
// must be there.
var notRun = map[string]string{
	"make test": "this test is part of it",

	"sudo apt install ./dist/frond_*_amd64.deb": "this machine stays as it is; the soak tests of cross/release install it in a root of their own",
}

// staying are commands that go on until somebody ends them, and what they say
// when they are ready. Servers end when the next block that starts one begins.
var staying = []struct {
	prefix, ready string
	server        bool
}{
	{"make run", "is ready", true},
	{"frond edge", "is ready", true},
	{"frond hub", "is ready", true},
	{"frond -c", "Server is ready", true},
	{"nats sub", "Subscribing on plant.>", false},
	{"nats kv watch", "CONFIG > line1.interval: 5s", false},
}

// ending are commands with such a beginning that end by themselves.
var ending = regexp.MustCompile(`^frond (edge|hub) -h|--print-config`)

// TestReadme runs every command in every code block of the README, as it is
// printed, in its order. A block is indented, or fenced: without a word behind
// the fence, or with sh, it holds commands. Other fences hold "text" or a file
// of that name; a configuration file of frond is checked.
func TestReadme(t *testing.T) {
	root, err := peers.ProductRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t, root)
	count := 0
	left := map[string]bool{}
	for c := range notRun {
		left[c] = true
	}
	for _, b := range codeBlocks(string(text)) {
		switch b.info {
		case "text", "mosquitto.conf":
			continue
		case "frond.conf":
			r.file(b)
			continue
		case "", "sh":
		default:
			t.Errorf("README:%d: a block of %q: what is that?", b.line, b.info)
		}
		serving := false
		for _, c := range b.commands() {
			count++
			if _, ok := notRun[c.text]; ok {
				delete(left, c.text)
				continue
			}
			serving = r.run(c, serving)
		}
	}
	if count < 20 || len(notRun) > 5 || len(left) > 0 {
		t.Errorf("%d commands, want 20 at least; %d are not run, 5 may be; of these are not in the README: %v", count, len(notRun), left)
	}
}

type codeBlock struct {
	line  int // of its first line
	info  string
	lines []string
}

// codeBlocks finds the fenced and the indented ones.
func codeBlocks(text string) []codeBlock {
	var blocks []codeBlock
	var open *codeBlock
	fence := ""
	blank := true // the line before
	for i, l := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(l)
		body, indented := strings.CutPrefix(l, "    ")
		if !indented {
			body, indented = strings.CutPrefix(l, "\t")
		}
		switch {
		case fence != "":
			if trimmed == fence {
				blocks, open, fence = append(blocks, *open), nil, ""
				break
			}
			open.lines = append(open.lines, l)
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence = trimmed[:3]
			open = &codeBlock{line: i + 2, info: strings.TrimSpace(trimmed[3:])}
		case indented && trimmed != "" && (open != nil || blank):
			if open == nil {
				open = &codeBlock{line: i + 1}
			}
			open.lines = append(open.lines, body)
		case trimmed == "" && open != nil:
			open.lines = append(open.lines, "")
		case open != nil:
			blocks, open = append(blocks, *open), nil
		}
		blank = trimmed == ""
	}
	if open != nil {
		blocks = append(blocks, *open)
	}
	return blocks
}

type command struct {
	line int
	text string
}

// commands are the lines that are not empty, without the remark behind them.
func (b *codeBlock) commands() []command {
	var all []command
	remark := regexp.MustCompile(`(^|\s{2,})#\s.*$`)
	for i, l := range b.lines {
		if c := strings.TrimSpace(remark.ReplaceAllString(l, "")); c != "" {
			all = append(all, command{b.line + i, c})
		}
	}
	return all
}

// reader is somebody who types in what the README says. His machine has
// other things on the ports that are printed, so words that hold them are
// exchanged on the way to each program.
type reader struct {
	t       *testing.T
	name    string // of what he reads
	root    string
	dir     string // where he is
	env     []string
	servers []*kept
}

type kept struct {
	cmd  *exec.Cmd
	out  *lockedOutput
	done chan struct{}
}

type lockedOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *lockedOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *lockedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func newReader(t *testing.T, root string) *reader {
	frond := binary(t, peers.FrondKind)
	cli, err := binaries.cli()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	port := map[string]string{}
	for _, p := range []string{"4222", "4223", "4224", "1883", "1884", "8222", "8223", "8224", "7422"} {
		port[p] = freePort(t)
	}
	// Each argument goes through sed, and the presets get the ports that they
	// were not given.
	var sed strings.Builder
	for from, to := range port {
		fmt.Fprintf(&sed, " -e 's/\\b%s\\b/%s/g'", from, to)
	}
	exchange := "n=$#; while [ $n -gt 0 ]; do a=$(printf '%s' \"$1\" | sed" + sed.String() + "); shift; set -- \"$@\" \"$a\"; n=$((n-1)); done\n"
	add := func(flag, value string) string {
		return fmt.Sprintf("case \"$all\" in *' --%s '*) ;; *) set -- \"$@\" --%s %s;; esac\n", flag, flag, value)
	}
	for name, script := range map[string]string{
		"frond": exchange + "all=\" $* \"\ncase \"$1\" in\n" +
			"edge|hub)\n" + add("port", port["4222"]) + add("http-port", port["8222"]) + ";;\nesac\n" +
			"case \"$1\" in\nedge)\n" + add("mqtt-port", port["1883"]) + ";;\nhub)\n" + add("leaf-port", port["7422"]) + ";;\nesac\n" +
			"exec " + frond + " \"$@\"\n",
		"nats":          exchange + "exec " + cli + " \"$@\"\n",
		"curl":          exchange + "exec " + tool(t, "curl") + " -sS \"$@\"\n",
		"mosquitto_pub": exchange + "exec " + tool(t, "mosquitto_pub") + " -p " + port["1883"] + " \"$@\"\n",
		"mosquitto_sub": exchange + "exec " + tool(t, "mosquitto_sub") + " -p " + port["1883"] + " \"$@\"\n",
		// make run builds and starts an edge: here it is built already.
		// What is installed goes where nobody finds it.
		"go": "case \"$*\" in 'run ./cmd/frond '*) shift 2; exec frond \"$@\" --data " + filepath.Join(dir, "made") + ";;\n" +
			"'install '*) cd " + root + "; export GOBIN=" + filepath.Join(dir, "installed") + ";; esac\nexec " + tool(t, "go") + " \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &reader{t: t, name: "README", root: root, dir: dir}
	r.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NATS_URL=127.0.0.1:"+port["4222"],
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "NO_COLOR=1", "MAKEFLAGS=",
		"OUT="+filepath.Join(dir, "dist"))
	t.Cleanup(r.endAll)
	return r
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// freePort is one for a server that has to be told its port, and starts later. It
// is below those that the system gives to connections, or one of the tests beside
// this one might be given it meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	const first, last = 10_000, 32_768 // see ip_local_port_range in ip(7)
	for range 100 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// file is a configuration file in the README: it must be a valid one.
func (r *reader) file(b codeBlock) {
	const certFolder = "/etc/frond/" // has certificates in what the README says

	path := filepath.Join(r.dir, "readme.conf")
	text := strings.Join(b.lines, "\n")
	if strings.Contains(text, certFolder) {
		_, cert, key := certificates(r.t)
		text = strings.NewReplacer(certFolder+"cert.pem", cert, certFolder+"key.pem", key).Replace(text)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.run(command{b.line, "frond -t -c " + path}, true)
}

// patience bounds one command, on a machine that is busy with other things.
const patience = 60 * time.Second

// offline are commands that want the servers stopped, as the README says beside
// them.
var offline = regexp.MustCompile(`^frond (store|identity) `)

// run types in one command. serving says that the block has started a server
// already; it reports whether it has now.
func (r *reader) run(c command, serving bool) bool {
	r.t.Helper()
	for _, s := range staying {
		if !strings.HasPrefix(c.text, s.prefix) || ending.MatchString(c.text) {
			continue
		}
		if s.server && !serving {
			r.endAll()
		}
		k := r.start(c, s.server)
		r.t.Cleanup(func() { k.end() })
		until := time.Now().Add(patience)
		for !strings.Contains(k.out.String(), s.ready) {
			select {
			case <-k.done:
				r.t.Fatalf("%s:%d: %s\nended with\n%s", r.name, c.line, c.text, k.out.String())
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(until) {
				r.t.Fatalf("%s:%d: %s\ndoes not say %q:\n%s", r.name, c.line, c.text, s.ready, k.out.String())
			}
		}
		return serving || s.server
	}
	if offline.MatchString(c.text) {
		r.endAll()
	}
	// What another machine or a link has to do first may take a moment, and what
	// compiles much more, where nothing is compiled yet.
	limit := patience
	if strings.HasPrefix(c.text, "make ") || strings.HasPrefix(c.text, "go ") {
		limit *= 10
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, "sh", "-c", c.text)
		cmd.Dir, cmd.Env = r.where(c), r.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if err == nil {
			return serving
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("%s:%d: %s\n%v\n%s", r.name, c.line, c.text, err, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// where is the folder for a command: make's is the project's.
func (r *reader) where(c command) string {
	if strings.HasPrefix(c.text, "make") {
		return r.root
	}
	return r.dir
}

func (r *reader) start(c command, server bool) *kept {
	r.t.Helper()
	k := &kept{cmd: exec.Command("sh", "-c", "exec "+c.text), out: &lockedOutput{}, done: make(chan struct{})}
	k.cmd.Dir, k.cmd.Env = r.where(c), r.env
	k.cmd.Stdout, k.cmd.Stderr = k.out, k.out
	// A group of its own: make has children.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := k.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(k.done)
		_ = k.cmd.Wait()
	}()
	if server {
		r.servers = append(r.servers, k)
	}
	return k
}

// stopping is less than what frond itself gives a clean stop.
const stopping = 20 * time.Second

// end asks it to end, and reports whether it did.
func (k *kept) end() bool {
	_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-k.done:
		return true
	case <-time.After(stopping):
		_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
		<-k.done
		return false
	}
}

func (r *reader) endAll() {
	for _, k := range r.servers {
		if !k.end() {
			r.t.Errorf("%s does not end when it is asked to:\n%s", k.cmd.Args, k.out.String())
		}
	}
	r.servers = nil
}
