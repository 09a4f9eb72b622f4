package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// stopTimeout bounds a clean stop.
const stopTimeout = 30 * time.Second

func main() {
	forget()
	os.Exit(host(os.Args[1:]))
}

// run is the program. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "edge", "hub":
			return runPreset(args[0], args[1:], stdout, stderr)
		case "damage":
			return runDamage(args[1:], stdout, stderr)
		case "connections":
			return runConnections(args[1:], stdout, stderr)
		case "store":
			return runStore(args[1:], stdout, stderr)
		case "passwd":
			return runPasswd(args[1:], os.Stdin, stdout, stderr)
		case "identity":
			return runIdentity(args[1:], stdout, stderr)
		case "service":
			return runService(args[1:], stdout, stderr)
		case "import":
			return runImport(args[1:], stdout, stderr)
		case "help":
			return runHelp(args[1:], stdout, stderr)
		}
	}
	f := newFlags()
	if err := f.parse(args); err != nil {
		// As nats-server: whoever gets a flag wrong is shown the usage, and
		// that ends well.
		fmt.Fprintln(stderr, nearFlag(err, f.set, "the usage"))
		fmt.Fprint(stdout, help.Usage("frond"))
		return 0
	}
	if len(f.words) > 0 && !f.help {
		switch f.words[0] {
		case "version":
			f.version = true
		default:
			return fail(stderr, fmt.Errorf("unrecognized command: %q%s", f.words[0], nearCommand(f.words[0])))
		}
	}
	switch {
	case f.help:
		fmt.Fprint(stdout, help.Usage("frond"))
		return 0
	case f.version:
		fmt.Fprintf(stdout, "frond: v%s\n", core.VersionText())
		return 0
	case f.signal != "":
		if err := sendSignal(f.signal); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	if f.check || f.json {
		return check(f, stdout, stderr)
	}
	o, warns, err := f.options()
	if err != nil {
		return fail(stderr, err)
	}
	p := program{options: o, warns: warns, words: error.Error}
	if f.config != "" {
		p.again = f.options
	}
	return p.serve(stderr)
}

// commands are the words that may be the first argument.
func commands() []string { return append(help.Commands()[1:], "help", "version") }

// nearCommand says which command was meant.
func nearCommand(word string) string {
	if near := config.Near(word, commands()); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

func fail(stderr io.Writer, err error) int {
	for line := range strings.Lines(err.Error()) { // several errors
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			line = "frond: " + line
		}
		fmt.Fprint(stderr, line)
	}
	fmt.Fprintln(stderr)
	return 1
}

// program is what serve runs.
type program struct {
	options *config.Options
	warns   []config.Warning
	words   func(error) string                                // puts an error of the start into words
	ready   func(*core.Server) error                          // if not nil, runs once the doors are open
	again   func() (*config.Options, []config.Warning, error) // reads the file anew; nil without one
}

// serve runs a server until a signal ends it.
func (p *program) serve(stderr io.Writer) int {
	log, err := core.OpenLog(&p.options.Log)
	if err != nil {
		return fail(stderr, err)
	}
	defer log.Close()
	logger := slog.New(log)
	for _, w := range p.warns {
		logger.Warn(w.String())
	}
	if limit, _ := core.MemoryLimit(p.options); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		// So that garbage goes before the limit is reached.
		debug.SetMemoryLimit(core.GoMemoryLimit(limit))
	}
	s, err := core.New(p.options, modules(), logger)
	if err != nil {
		return fail(stderr, err)
	}
	signals := catchSignals()
	defer signals.stop()
	s.OnRest(giveBack)
	s.OnReload(func() error { return p.reload(s, logger) })
	err = s.Start()
	if err == nil && p.ready != nil {
		err = p.ready(s)
	}
	if err != nil {
		for line := range strings.Lines(p.words(err)) {
			logger.Log(context.Background(), core.LevelFatal, "Error "+strings.TrimSuffix(line, "\n"))
		}
		stop(s, logger)
		return 1
	}
	trim()
	boss := newSupervisor(os.Getenv)
	boss.ready(os.Getenv)
	signals.wait(logger, log, func() { _ = p.reload(s, logger) })
	boss.stopping()
	return stop(s, logger)
}

// giveBack gives memory that is not used any more back to the system. What lies in
// pools (read buffers, above all) outlives one collection.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// reload gives the server what the file says now, or tells what stands in the way.
func (p *program) reload(s *core.Server, logger *slog.Logger) error {
	err := errors.New("can only reload config when a file is provided using -c or --config")
	if p.again != nil {
		var o *config.Options
		var warns []config.Warning
		o, warns, err = p.again()
		for _, w := range warns {
			logger.Warn(w.String())
		}
		if err == nil {
			_, err = s.Reload(o)
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			logger.Error("Failed to reload server configuration: " + strings.TrimSuffix(line, "\n"))
		}
	}
	return err
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
