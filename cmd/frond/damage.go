package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/jetstream"
)

func damageFlags(data, file *string, all, asJSON *bool) *flag.FlagSet {
	fs := flag.NewFlagSet("damage", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(data, "data", presetData, "")
	fs.StringVar(file, "c", "", "")
	fs.BoolVar(all, "all", false, "")
	fs.BoolVar(asJSON, "json", false, "")
	return fs
}

// runDamage is `frond damage`.
func runDamage(args []string, stdout, stderr io.Writer) int {
	var data, file string
	var all, asJSON bool
	fs := damageFlags(&data, &file, &all, &asJSON)
	words, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) || err == nil && len(words) == 0 {
		fmt.Fprint(stdout, help.Usage("damage"))
		return 0
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("damage: %w", nearFlag(err, fs, "frond damage -h")))
	}
	if err := checkDamageWords(words); err != nil {
		return fail(stderr, fmt.Errorf("damage: %w", err))
	}
	dir, err := storeDir(data, file)
	switch {
	case err != nil:
	case words[0] == "ls":
		err = listDamage(stdout, dir, all, asJSON)
	default:
		err = ackDamage(stdout, dir, words[1])
	}
	if errors.Is(err, core.ErrNoServer) {
		err = fmt.Errorf("%w: with one it is told here; frond store check %s reads the files without", err, dir)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return 0
}

func checkDamageWords(words []string) error {
	switch {
	case words[0] == "ls" && len(words) == 1, words[0] == "ack" && len(words) == 2:
		return nil
	case words[0] == "ack":
		return errors.New("ack takes one ID, as damage ls shows it, or all")
	}
	return fmt.Errorf("%q is not known: ls, ack ID|all", strings.Join(words, " "))
}

// parseMixed takes flags before and behind words.
func parseMixed(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if args = fs.Args(); len(args) == 0 {
			return words, nil
		}
		words, args = append(words, args[0]), args[1:]
	}
}

// storeDir is where a server keeps its streams.
func storeDir(data, file string) (string, error) {
	if file == "" {
		return data, isFolder(data)
	}
	o, _, err := config.ParseFile(file)
	if err != nil {
		return "", err
	}
	if o.JetStream.StoreDir == "" {
		return "", fmt.Errorf("%s names no store_dir", file)
	}
	return o.JetStream.StoreDir, nil
}

// isFolder says, of a folder that --data names, that there is none.
func isFolder(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("--data: there is no folder %s", dir)
	case err != nil:
		return fmt.Errorf("--data: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--data: %s is not a folder", dir)
	}
	return nil
}

func listDamage(w io.Writer, dir string, all, asJSON bool) error {
	list, err := core.ListDamage(dir, all)
	if err != nil {
		return err
	}
	if len(list) == 0 && !asJSON {
		fmt.Fprintln(w, "no damage")
	}
	for i := range list {
		if asJSON {
			b, err := json.Marshal(&list[i])
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\n", b)
			continue
		}
		printDamage(w, &list[i])
	}
	return nil
}

func printDamage(w io.Writer, d *jetstream.Damage) {
	fmt.Fprintf(w, "%d  %s  %s", d.ID, d.At.Local().Format(time.DateTime), d.Kind)
	if d.Times > 1 {
		fmt.Fprintf(w, " (%d times)", d.Times)
	}
	if d.Acked {
		fmt.Fprint(w, "  acknowledged")
	}
	fmt.Fprintf(w, "\n   %s\n", d.What)
	if d.Stream != "" {
		fmt.Fprintf(w, "   stream  %s in account %s\n", d.Stream, d.Account)
	}
	for _, r := range d.Lost {
		fmt.Fprintf(w, "   lost    %d to %d\n", r.First, r.Last)
	}
	if d.Where != "" {
		fmt.Fprintf(w, "   where   %s\n", d.Where)
	}
	fmt.Fprintf(w, "   do      %s\n", d.Do)
}

func ackDamage(w io.Writer, dir, which string) error {
	id := uint64(0)
	if which != "all" {
		n, err := strconv.ParseUint(which, 10, 64)
		if err != nil || n == 0 {
			return fmt.Errorf("damage ack: %q is no number of a damage, and not \"all\"", which)
		}
		id = n
	}
	if id == 0 {
		if open, err := core.ListDamage(dir, false); err != nil {
			return err
		} else if len(open) == 0 {
			fmt.Fprintln(w, "nothing to acknowledge")
			return nil
		}
	}
	if err := core.AckDamage(dir, id); err != nil {
		return err
	}
	fmt.Fprintln(w, "acknowledged")
	return nil
}
