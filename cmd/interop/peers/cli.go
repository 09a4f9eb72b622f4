package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Nats runs the `nats` command line client against one server.
type Nats struct {
	Binary string
	URL    string
	Home   string // its configuration folder; never the user's own
}

// Run runs it to the end with stdin and returns what it printed, both streams
// together. A non-zero exit is an error that tells the command and its output.
func (n Nats) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := n.command(ctx, args)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("nats %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// Start runs it in the background.
func (n Nats) Start(args ...string) (*Process, error) {
	// The client takes its server and folder from the environment; Spawn has
	// none of its own, so they are flags here.
	return Spawn("nats "+strings.Join(args, " "), "/usr/bin/env",
		append([]string{"XDG_CONFIG_HOME=" + n.Home, "NO_COLOR=1", n.Binary, "--server", n.URL}, args...)...)
}

func (n Nats) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.Binary, append([]string{"--server", n.URL}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+n.Home, "NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}
