package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sendSignal is --signal cmd[=target]; a target is a pid, the path of a pid
// file, or a prefix of pids that ends in '*'. Without one the only other
// running frond is meant.
func sendSignal(arg string) error {
	command, target, _ := strings.Cut(arg, "=")
	if strings.Contains(target, "=") {
		return fmt.Errorf("invalid signal parameters: %v", strings.Split(arg, "=")[1:])
	}
	if !knownSignal(command) {
		return fmt.Errorf("frond: unknown signal %q", command)
	}
	if command == "ldm" {
		// A server that gets it says so in its log; here somebody reads it.
		return fmt.Errorf("frond: signal %q is not supported yet", command)
	}
	pids, err := signalTargets(target)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := signalProcess(command, pid); err != nil {
			errs = append(errs, fmt.Errorf("\nsignal %q %d: %w", command, pid, err))
		}
	}
	return errors.Join(errs...)
}

func signalTargets(target string) ([]int, error) {
	prefix, glob := strings.CutSuffix(target, "*")
	if target == "" || glob {
		return runningServers(prefix, glob)
	}
	if text, err := os.ReadFile(target); err == nil {
		target = strings.TrimSpace(string(text))
	}
	pid, err := strconv.Atoi(target)
	if err != nil || pid <= 0 {
		return nil, fmt.Errorf("invalid pid: %s", target)
	}
	return []int{pid}, nil
}

// runningServers finds other processes of this program.
func runningServers(prefix string, several bool) ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil || len(names) == 0 {
		return nil, errors.New("unable to resolve pid, try providing one")
	}
	var pids []int
	var lines []string
	for _, n := range names {
		comm, err := os.ReadFile(n)
		text := strings.Split(n, "/")[2]
		pid, perr := strconv.Atoi(text)
		if err != nil || perr != nil || strings.TrimSpace(string(comm)) != "frond" || pid == os.Getpid() || !strings.HasPrefix(text, prefix) {
			continue
		}
		pids = append(pids, pid)
		lines = append(lines, text)
	}
	switch {
	case len(pids) == 0:
		return nil, errors.New("no frond processes running")
	case len(pids) > 1 && !several:
		return nil, fmt.Errorf("multiple frond processes running:\n%s\nname one: --signal SIGNAL=PID", strings.Join(lines, "\n"))
	}
	return pids, nil
}
