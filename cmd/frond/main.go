package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// version is set by the release build.
var version = "0.1.0-dev"

// stopTimeout bounds a clean stop.
const stopTimeout = 30 * time.Second

func main() {
	forget()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "edge", "hub":
			return runPreset(args[0], args[1:], stdout, stderr)
		case "damage":
			return runDamage(args[1:], stdout, stderr)
		}
	}
	f := newFlags()
	if err := f.parse(args); err != nil {
		// As nats-server: whoever gets a flag wrong is shown the usage, and
		// that ends well.
		fmt.Fprintln(stderr, err)
		fmt.Fprint(stdout, usage)
		return 0
	}
	if len(f.words) > 0 {
		switch f.words[0] {
		case "help":
			f.help = true
		case "version":
			f.version = true
		default:
			return fail(stderr, fmt.Errorf("unrecognized command: %q", f.words[0]))
		}
	}
	switch {
	case f.help:
		fmt.Fprint(stdout, usage)
		return 0
	case f.version:
		fmt.Fprintf(stdout, "frond: v%s (nats-server level %s)\n", version, core.Level)
		return 0
	case f.signal != "":
		if err := sendSignal(f.signal); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	o, warns, err := f.options()
	if err != nil {
		return fail(stderr, err)
	}
	if f.check {
		return check(o, warns, stderr)
	}
	return serve(o, warns, stderr, nil)
}

// check is -t: a warning fails too.
func check(o *config.Options, warns []config.Warning, stderr io.Writer) int {
	if o.File == "" {
		return fail(stderr, fmt.Errorf("must specify [-c, --config] option to check configuration file syntax"))
	}
	if len(warns) > 0 {
		for _, w := range warns {
			fmt.Fprintf(stderr, "frond: %s\n", w.String())
		}
		return 1
	}
	fmt.Fprintf(stderr, "frond: configuration file %s is valid (%s)\n", o.File, o.Digest)
	return 0
}

func fail(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "frond: %v\n", err)
	return 1
}

// serve runs a server until a signal ends it. ready, if not nil, runs once the
// doors are open.
func serve(o *config.Options, warns []config.Warning, stderr io.Writer, ready func(*core.Server) error) int {
	log, err := core.OpenLog(&o.Log)
	if err != nil {
		return fail(stderr, err)
	}
	defer log.Close()
	logger := slog.New(log)
	for _, w := range warns {
		logger.Warn(w.String())
	}
	s, err := core.New(o, modules(), logger)
	if err != nil {
		return fail(stderr, err)
	}
	signals := catchSignals()
	defer signals.stop()
	err = s.Start()
	if err == nil && ready != nil {
		err = ready(s)
	}
	if err != nil {
		logger.Log(context.Background(), core.LevelFatal, "Error "+err.Error())
		stop(s, logger)
		return 1
	}
	trim()
	boss := newSupervisor(os.Getenv)
	boss.ready(os.Getenv)
	signals.wait(logger, log)
	boss.stopping()
	return stop(s, logger)
}

func stop(s *core.Server, logger *slog.Logger) int {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		logger.Error("Shutdown was not clean", "err", err)
		return 1
	}
	return 0
}
