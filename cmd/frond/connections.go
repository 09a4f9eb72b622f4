package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/monitor"
)

// connectionsCall is a call of `frond connections`.
type connectionsCall struct {
	data, file    string
	user, account string
	json          bool
}

func (c *connectionsCall) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("connections", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.data, "data", presetData, "")
	fs.StringVar(&c.file, "c", "", "")
	fs.StringVar(&c.user, "user", "", "")
	fs.StringVar(&c.account, "account", "", "")
	fs.BoolVar(&c.json, "json", false, "")
	return fs
}

// runConnections is `frond connections`.
func runConnections(args []string, stdout, stderr io.Writer) int {
	var c connectionsCall
	fs := c.flags()
	words, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) || err == nil && len(words) == 0 {
		fmt.Fprint(stdout, help.Usage("connections"))
		return 0
	}
	if err != nil {
		err = nearFlag(err, fs, "frond connections -h")
	} else {
		err = c.run(words, stdout)
	}
	if errors.Is(err, core.ErrNoServer) {
		err = fmt.Errorf("%w; only one with JetStream can be asked, whose data folder has the socket for it; others show /connz over HTTP", err)
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("connections: %w", err))
	}
	return 0
}

func (c *connectionsCall) run(words []string, stdout io.Writer) error {
	id, err := c.check(words)
	if err != nil {
		return err
	}
	dir, err := storeDir(c.data, c.file)
	if err != nil {
		return err
	}
	if words[0] == "ls" {
		return c.list(stdout, dir)
	}
	n := 1
	if id != 0 {
		err = core.KickConnection(dir, id)
	} else {
		n, err = core.KickConnections(dir, c.user, c.account)
	}
	if err == nil {
		fmt.Fprintf(stdout, "ended: %d\n", n)
	}
	return err
}

// check reads the words; the id is 0 without one.
func (c *connectionsCall) check(words []string) (id uint64, err error) {
	some := c.user != "" || c.account != ""
	switch {
	case words[0] == "ls" && len(words) == 1:
		return 0, nil
	case words[0] == "kick" && len(words) == 2 && !some:
		if id, err = strconv.ParseUint(words[1], 10, 64); err != nil || id == 0 {
			return 0, fmt.Errorf("%q is no id of a connection, as ls shows it", words[1])
		}
		return id, nil
	case words[0] == "kick" && len(words) == 1 && some:
		return 0, nil
	case words[0] == "kick":
		return 0, errors.New("kick takes one ID, or --user and --account")
	}
	return 0, fmt.Errorf("%q is not known: ls, kick ID", strings.Join(words, " "))
}

func (c *connectionsCall) list(w io.Writer, dir string) error {
	z, err := core.ListConnections(dir, c.user, c.account)
	if err != nil {
		return err
	}
	width := 20 // paths of sockets are longer
	for _, i := range z.Conns {
		width = max(width, len(addressOf(i)))
	}
	if !c.json {
		fmt.Fprintf(w, "%8s  %-8s  %-*s  %-16s  %-16s  %10s  %10s  %10s  %s\n", "ID", "KIND", width, "ADDRESS", "USER", "NAME", "IN", "OUT", "PENDING", "UPTIME")
	}
	for _, i := range z.Conns {
		if c.json {
			b, err := json.Marshal(i)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\n", b)
			continue
		}
		fmt.Fprintf(w, "%8d  %-8s  %-*s  %-16s  %-16s  %10d  %10d  %10d  %s\n",
			i.Cid, kindOf(i), width, addressOf(i), plainText(i.AuthorizedUser), plainText(i.Name+i.MQTTClient), i.InMsgs, i.OutMsgs, i.Pending, i.Uptime)
	}
	if more := z.Total - len(z.Conns); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return nil
}

func kindOf(i *monitor.ConnInfo) string {
	if i.Kind == monitor.KindLeaf {
		return "leaf"
	}
	return i.Type
}

func addressOf(i *monitor.ConnInfo) string {
	switch {
	case i.UID != nil:
		return fmt.Sprintf("%s uid=%d", i.IP, *i.UID)
	case i.Port == 0:
		return i.IP
	}
	return fmt.Sprintf("%s:%d", i.IP, i.Port)
}

// plainText is what a peer says of itself, so that a terminal shows it and does
// nothing else.
func plainText(s string) string {
	s = core.Cut(s)
	if s == "" {
		return "-"
	}
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}
