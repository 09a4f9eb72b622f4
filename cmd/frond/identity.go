package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// identify gives a preset's server and its domain the name that its data folder
// has, and makes one if make is set: two gateways that were set up alike must
// not be one to their hub.
func identify(o *config.Options, make bool) error {
	if o.ServerName != "" && o.JetStream.Domain != "" {
		return nil
	}
	if err := o.Validate(); err != nil {
		return err // before there is a folder
	}
	open := core.ReadStoreIdentity
	if make {
		open = core.OpenStoreIdentity
	}
	id, err := open(o.JetStream.StoreDir)
	if errors.Is(err, os.ErrNotExist) && !make {
		return nil
	}
	if err != nil {
		return err
	}
	if o.ServerName == "" {
		o.ServerName = id.Name
	}
	if o.JetStream.Domain == "" {
		o.JetStream.Domain = id.Name
	}
	return nil
}

// runIdentity shows the identity of a data folder, or makes a new one: for one
// that is the copy of another.
func runIdentity(args []string, stdout, stderr io.Writer) int {
	renew := len(args) > 0 && args[0] == "new"
	if renew {
		args = args[1:]
	}
	f := flag.NewFlagSet("frond identity", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("data", presetData, "")
	if err := f.Parse(args); err != nil || f.NArg() > 0 {
		fmt.Fprintln(stderr, "Usage: frond identity [new] [--data DIR]   (DIR is --data of a preset, or store_dir)")
		return 1
	}
	if !renew {
		id, err := core.ReadStoreIdentity(*dir)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%s has no identity yet: no frond has run there", *dir)
		}
		if err != nil {
			return fail(stderr, err)
		}
		fmt.Fprintf(stdout, "store %s, name %s\n", id.ID, id.Name)
		return 0
	}
	if _, err := os.Stat(*dir); err != nil {
		return fail(stderr, fmt.Errorf("--data: %w", err))
	}
	id, err := core.NewStoreIdentity(*dir)
	if err != nil {
		return fail(stderr, err)
	}
	fmt.Fprintf(stdout, "store %s, name %s: taken at the next start of frond\n", id.ID, id.Name)
	return 0
}
