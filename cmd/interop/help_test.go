package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// notRunHelp are commands in the pages of `frond help` that TestHelp does not
// run, and why. Each must be there.
var notRunHelp = map[string]string{
	"sha256sum --check --ignore-missing SHA256SUMS":                         "cross/release runs it on what it made",
	"minisign -Vm SHA256SUMS -p frond.pub":                                  "cross/release runs it on what it signed, where it is installed",
	"frond import mosquitto old.conf --db mosquitto.db --to mqtt://pi:1883": "TestImport_mosquitto does, with what a mosquitto has stored",
}

// TestHelp runs every command in the pages of `frond help`, as it is printed.
func TestHelp(t *testing.T) {
	root, err := peers.ProductRoot()
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t, root)
	_, cert, key := certificates(t)
	for name, from := range map[string]string{"CERT": cert, "KEY": key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		r.write(name, text)
	}
	r.write("nats.conf", []byte("port: 4222\njetstream { store_dir: store }\n"))
	r.write("edge.conf", []byte("port: 4222\n"))
	r.write("old.conf", []byte("listener 1883 127.0.0.1\nallow_anonymous true\n"))
	if err := os.Symlink(filepath.Join(r.dir, "bin", "frond"), filepath.Join(r.dir, "frond")); err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(binary(t, peers.FrondKind), "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	topics := regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}`).FindAllStringSubmatch(string(list), -1)
	count, left := 0, len(notRunHelp)
	for _, topic := range topics {
		page, err := exec.Command(binary(t, peers.FrondKind), "help", topic[1]).Output()
		if err != nil {
			t.Fatal(err)
		}
		r.name = "frond help " + topic[1]
		for i, l := range strings.Split(string(page), "\n") {
			text, ok := strings.CutPrefix(l, "    $ ")
			if !ok {
				continue
			}
			count++
			if notRunHelp[text] != "" {
				left--
				continue
			}
			r.page(command{i + 1, text})
		}
	}
	if len(topics) < 12 || count < 15 || left != 0 {
		t.Errorf("%d topics, %d commands, %d that are not run and are not there", len(topics), count, left)
	}
}

func (r *reader) write(name string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// page runs a command of a page, which says in words whether an edge runs
// meanwhile.
func (r *reader) page(c command) {
	r.t.Helper()
	word, _, _ := strings.Cut(c.text, " ")
	if word == "nats" || word == "curl" || strings.HasPrefix(c.text, "frond damage ") {
		r.run(command{c.line, "frond edge --store 'plant.>'"}, false)
		r.run(command{c.line, "nats pub plant.line1.temp 21.5 --jetstream"}, true)
	}
	r.run(c, false)
}
