package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Mosquitto is a running mosquitto broker.
type Mosquitto struct {
	Addr string
	proc *Process
}

// LookMosquitto finds one of Debian's programs mosquitto, mosquitto_pub and
// mosquitto_sub; the broker lives in /usr/sbin, which is not in every PATH.
func LookMosquitto(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s is not installed (Debian packages mosquitto and mosquitto-clients)", name)
}

// StartMosquitto runs a broker with its persistence in dir, and extra at the end
// of its configuration. It cannot pick a port itself, so we try free ones.
func StartMosquitto(ctx context.Context, dir, extra string) (*Mosquitto, error) {
	path, err := LookMosquitto("mosquitto")
	if err != nil {
		return nil, err
	}
	var last error
	for range 5 {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(addr)
		conf := filepath.Join(dir, "mosquitto.conf")
		user := ""
		if os.Geteuid() == 0 {
			user = "user root\n" // else it drops to a user that cannot write dir
		}
		text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"+
			"max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n%s%s", port, strings.TrimSuffix(dir, "/"), user, extra)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return nil, err
		}
		proc, err := Spawn("mosquitto", path, "-c", conf)
		if err != nil {
			return nil, err
		}
		if last = awaitPort(ctx, proc, addr); last == nil {
			return &Mosquitto{Addr: addr, proc: proc}, nil
		}
		proc.Kill()
	}
	return nil, last
}

// Pid is the process id.
func (m *Mosquitto) Pid() int { return m.proc.Pid() }

// Stop ends it by a signal, so that it writes its database.
func (m *Mosquitto) Stop() error { return m.proc.Stop(startTimeout) }

// Kill ends it.
func (m *Mosquitto) Kill() { m.proc.Kill() }

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)), nil
}

func awaitPort(ctx context.Context, proc *Process, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-proc.Done():
			return fmt.Errorf("mosquitto ended: %v\n%s", proc.Err(), proc.Output())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
