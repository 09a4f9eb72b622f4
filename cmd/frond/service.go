package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core/config"
)

// serviceName is what Windows knows the service by: `sc query frond`.
const serviceName = "frond"

func serviceFlags(file *string) *flag.FlagSet {
	fs := flag.NewFlagSet("frond service install", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(file, "c", "", "")
	return fs
}

// runService is `frond service`. Other systems have units for it, which
// packages install.
func runService(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(stdout, help.Usage("service"))
		return 0
	}
	err := func() error {
		if args[0] != "install" {
			if len(args) > 1 {
				return fmt.Errorf("service %s: %q is one word too many", args[0], args[1])
			}
			return controlService(args[0])
		}
		var file string
		fs := serviceFlags(&file)
		if err := fs.Parse(args[1:]); err != nil {
			return fmt.Errorf("service install: %w (see frond service -h)", err)
		}
		path, err := serviceConfig(file)
		if err != nil {
			return fmt.Errorf("service install: %w", err)
		}
		return installService(path)
	}()
	if err != nil {
		return fail(stderr, err)
	}
	return 0
}

// serviceConfig returns the absolute path of a configuration file that a
// service can run with: it has no console, and its folder is the system's.
func serviceConfig(file string) (string, error) {
	if file == "" {
		return "", errors.New("say the configuration file: -c FILE")
	}
	o, _, err := config.ParseFile(file)
	if err != nil {
		return "", err
	}
	switch {
	case o.Log.File == "":
		return "", fmt.Errorf("%s: set log_file: a service has no console for its log", file)
	case !filepath.IsAbs(o.Log.File):
		return "", fmt.Errorf("%s: log_file %q must be an absolute path: a service starts in the system's folder", file, o.Log.File)
	case o.JetStream.Enabled && !filepath.IsAbs(o.JetStream.StoreDir):
		return "", fmt.Errorf("%s: jetstream store_dir %q must be an absolute path: a service starts in the system's folder", file, o.JetStream.StoreDir)
	}
	return filepath.Abs(file)
}
