package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// identify gives a preset's server and its domain the name that its data folder
// has: two gateways that were set up alike must not be one to their hub. A
// folder without an identity gets one if make is set; else the name is new and
// stored nowhere.
func identify(o *config.Options, make bool) error {
	if o.ServerName != "" && o.JetStream.Domain != "" {
		return nil
	}
	if err := o.Validate(); err != nil {
		return err // before there is a folder
	}
	id, err := core.ReadStoreIdentity(o.JetStream.StoreDir)
	switch {
	case !errors.Is(err, os.ErrNotExist):
	case make:
		id, err = core.OpenStoreIdentity(o.JetStream.StoreDir)
	default:
		id.Name, err = core.NewStoreName(), nil
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

func identityFlags(dir *string) *flag.FlagSet {
	f := flag.NewFlagSet("frond identity", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(dir, "data", presetData, "")
	return f
}

// runIdentity shows the identity of a data folder, or makes a new one: for one
// that is the copy of another.
func runIdentity(args []string, stdout, stderr io.Writer) int {
	var dir string
	f := identityFlags(&dir)
	words, err := parseMixed(f, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help.Usage("identity"))
		return 0
	}
	if err == nil && len(words) > 0 && (len(words) > 1 || words[0] != "new") {
		err = fmt.Errorf("%q is not known: new, or nothing", strings.Join(words, " "))
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("identity: %w", nearFlag(err, f, "frond identity -h")))
	}
	if err := isFolder(dir); err != nil {
		return fail(stderr, err)
	}
	if len(words) == 0 {
		id, err := core.ReadStoreIdentity(dir)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%s has no identity yet: no frond has run there", dir)
		}
		if err != nil {
			return fail(stderr, err)
		}
		fmt.Fprintf(stdout, "store %s, name %s\n", id.ID, id.Name)
		return 0
	}
	unlock, err := lockStore(filepath.Join(dir, "jetstream"))
	if err != nil {
		return fail(stderr, fmt.Errorf("identity: %w", err))
	}
	defer unlock()
	id, err := core.NewStoreIdentity(dir)
	if err != nil {
		return fail(stderr, err)
	}
	fmt.Fprintf(stdout, "store %s, name %s: taken at the next start of frond\n", id.ID, id.Name)
	fmt.Fprintln(stdout, `A configuration file that names server_name and jetstream's domain itself, as
--print-config writes it, keeps its names: change both in it too.`)
	if store := filepath.Join(dir, "jetstream"); there(store) {
		fmt.Fprintf(stdout, "What is stored in %s stays: a hub that collects takes it once more, as of this name.\n", store)
	}
	return 0
}
