package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a running program whose output lines are kept.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and its output is read

	mu struct {
		sync.Mutex
		lines   []string
		changed chan struct{} // closed and replaced with every line
		err     error         // of Wait, valid after done
	}
}

// maxLines bounds what a chatty program can make us keep.
const maxLines = 100_000

// Spawn starts a program. It dies with this process.
func Spawn(name, path string, args ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.mu.changed = make(chan struct{})
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		r.Close()
		w.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	w.Close()
	go p.collect(r)
	return p, nil
}

func (p *Process) collect(r io.ReadCloser) {
	defer close(p.done)
	defer r.Close()
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	for sc.Scan() {
		p.mu.Lock()
		if len(p.mu.lines) < maxLines {
			p.mu.lines = append(p.mu.lines, sc.Text())
		}
		close(p.mu.changed)
		p.mu.changed = make(chan struct{})
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r)
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.err = err
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is everything printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.mu.lines, "\n")
}

// Find returns the submatches of the first line that matches.
func (p *Process) Find(re *regexp.Regexp) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.mu.lines {
		if m := re.FindStringSubmatch(l); m != nil {
			return m
		}
	}
	return nil
}

// Await waits until a line matches. It fails when the program ends first.
func (p *Process) Await(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	for {
		p.mu.Lock()
		changed := p.mu.changed
		p.mu.Unlock()
		if m := p.Find(re); m != nil {
			return m, nil
		}
		select {
		case <-changed:
		case <-p.done:
			if m := p.Find(re); m != nil {
				return m, nil
			}
			return nil, fmt.Errorf("%s ended (%v) before it printed %q; its output:\n%s", p.name, p.Err(), re, p.Output())
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not print %q: %w; its output:\n%s", p.name, re, ctx.Err(), p.Output())
		}
	}
}

// Signal sends a signal; a program that is gone is not an error.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends the program with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks with SIGTERM, waits, and returns what the program returned. After
// the grace it is killed and that is an error.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		return p.Err()
	case <-t.C:
		p.Kill()
		return fmt.Errorf("%s did not stop within %v of SIGTERM; its output:\n%s", p.name, grace, p.Output())
	}
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is the exit error, nil for status 0; meaningful after Done.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.err
}
