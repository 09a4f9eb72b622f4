package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chart is what testdata/chart/container.json says.
type chart struct {
	Args           []string
	Environment    []string
	Volumes        []string
	StartupProbe   string
	ReadinessProbe string
	LivenessProbe  string
	PidFile        string
	PreStop        []string
}

// unpack lays the image's layer out as the root of a container.
func unpack(t *testing.T, layer []byte) string {
	t.Helper()
	root := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(root, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, os.FileMode(h.Mode))
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, name)
		default:
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(name, b, os.FileMode(h.Mode))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The image does what the stock one is asked to do by nats-io's chart: it is
// started with the chart's arguments and file, probed, told to reload, and to be a
// lame duck (which it does not know yet, and says), stopped, and started again
// on what the volume kept. It runs in its own root as a user without rights.
func TestContainer_walk_of_the_chart(t *testing.T) {
	const user = 65532
	var c chart
	if err := json.Unmarshal(read(t, "testdata/chart/container.json"), &c); err != nil {
		t.Fatal(err)
	}
	layer, err := rootFS(read(t, frondFile(t)), time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, unpack(t, layer))
	for _, v := range c.Volumes {
		if err := errors.Join(os.MkdirAll(s.file(v), 0o755), os.Chown(s.file(v), user, user)); err != nil {
			t.Fatal(err)
		}
	}
	// The folder of store_dir is the container's own, and goes with it.
	if err := os.Chown(s.file("data"), user, user); err != nil {
		t.Fatal(err)
	}
	frond := func(args ...string) []string {
		return append([]string{"chroot", fmt.Sprintf("--userspec=%d:%d", user, user), s.root}, args...)
	}
	program := func(args ...string) *daemon {
		cmd := s.outside(frond(append([]string{"/frond"}, args...)...)...)
		cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, c.Environment...)
		return s.start(cmd)
	}
	// A command as the kubelet runs it, found by the image's PATH.
	exec := func(args ...string) string {
		cmd := s.outside(frond(append([]string{"/" + args[0]}, args[1:]...)...)...)
		return s.mustFail(cmd)
	}
	probe := func(path string) {
		t.Helper()
		if code, body, err := s.get(path); err != nil || code != http.StatusOK {
			t.Errorf("%s: %d %v\n%s", path, code, err, body)
		}
	}

	// As it is, the chart's file has two options that frond has not.
	conf := string(read(t, "testdata/chart/nats.conf"))
	s.write("etc/nats-config/nats.conf", conf, 0o644)
	d := program(c.Args...)
	<-d.done
	for _, key := range []string{"lame_duck_duration", "lame_duck_grace_period"} {
		if want := `"` + key + `" is not supported yet`; !strings.Contains(d.text(), want) || !strings.Contains(d.text(), "nats.conf:8:") {
			t.Errorf("the chart's own file: %s, want %s", d.text(), want)
		}
		conf = strings.Join(without(strings.Split(conf, "\n"), key), "\n")
	}

	s.write("etc/nats-config/nats.conf", conf, 0o644)
	d = program(c.Args...)
	d.until("does not get ready", func() bool {
		code, _, err := s.get(c.StartupProbe)
		return err == nil && code == http.StatusOK
	})
	probe(c.ReadinessProbe)
	probe(c.LivenessProbe)
	if got := strings.TrimSpace(string(read(t, s.file(c.PidFile)))); got != fmt.Sprint(d.cmd.Process.Pid) {
		t.Errorf("the pid file has %q, the pid is %d", got, d.cmd.Process.Pid)
	}
	if answer, err := s.nats("$JS.API.STREAM.CREATE.S", streamConfig); err != nil || strings.Contains(answer, `"error"`) {
		t.Fatalf("a stream: %v %s", err, answer)
	}
	if answer, err := s.nats("plant.a", "1"); err != nil || !strings.Contains(answer, `"seq":1`) {
		t.Fatalf("a publish: %v %s", err, answer)
	}

	// The reloader sends a signal.
	d.signal(syscall.SIGHUP)
	d.until("does not reload", func() bool { return strings.Contains(d.text(), "Reloaded server configuration") })
	// The hook before the end fails with words, which ends nothing.
	if words := exec(c.PreStop...); !strings.Contains(words, `signal "ldm" is not supported yet`) {
		t.Errorf("preStop: %s", words)
	}
	probe(c.LivenessProbe)
	if code := d.end(); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, d.text())
	}

	// The next container has what is on the volume.
	d = program("-c", c.Args[1])
	d.ready()
	if answer, err := s.nats("$JS.API.STREAM.INFO.S", ""); err != nil || !strings.Contains(answer, `"messages":1,`) {
		t.Errorf("after the restart: %v %s", err, answer)
	}
	// Without Kubernetes: the stock image's other way to end.
	cmd := s.outside(frond("/nats-server", "-sl", "term="+c.PidFile)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("-sl term: %v\n%s", err, out)
	}
	<-d.done
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("-sl term: exit %d\n%s", code, d.text())
	}
}

func without(lines []string, word string) (rest []string) {
	for _, l := range lines {
		if !strings.Contains(l, word) {
			rest = append(rest, l)
		}
	}
	return rest
}
