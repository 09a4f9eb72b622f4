package main

import (
	"errors"
	"flag"
	"io"
)

// importArgs is what follows `frond import`.
type importArgs struct {
	conf, passwd, acl, db, to string
}

func (a *importArgs) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("frond import", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&a.passwd, "passwd", "", "")
	fs.StringVar(&a.acl, "acl", "", "")
	fs.StringVar(&a.db, "db", "", "")
	fs.StringVar(&a.to, "to", "", "")
	return fs
}

// parse is flag.ErrHelp where the usage is asked for.
func (a *importArgs) parse(args []string) error {
	const usage = "frond import -h"
	fs := a.flags()
	words, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return nearFlag(err, fs, usage)
	case len(words) == 0 || words[0] != "mosquitto":
		return errors.New("only mosquitto can be imported (" + usage + ")")
	case len(words) != 2:
		return errors.New("one configuration file is needed (" + usage + ")")
	case a.to != "" && a.db == "":
		return errors.New("--to needs --db")
	}
	a.conf = words[1]
	return nil
}
