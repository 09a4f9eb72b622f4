package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/jetstream"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/journal"
	"github.com/frondmq/frond/edgestore/vfs"
)

// runStore is `frond store`.
func runStore(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("store", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	words, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) || err == nil && len(words) == 0 {
		fmt.Fprint(stdout, help.Usage("store"))
		return 0
	}
	if err == nil && len(words) == 3 && words[0] == "format" {
		return storeFormat(words[2], words[1], stdout, stderr)
	}
	if err == nil && len(words) != 2 {
		err = errors.New("it takes check, dump, rebuild, giveup or format, and a folder")
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("store: %w", nearFlag(err, fs, "frond store -h")))
	}
	sound := true
	switch words[0] {
	case "check":
		sound, err = eachStore(words[1], stdout, edgestore.CheckStore)
	case "rebuild":
		sound, err = eachStore(words[1], stdout, func(dir string) (*edgestore.Check, error) { return rebuildStore(dir, stdout) })
	case "dump":
		sound, err = eachStore(words[1], stderr, func(dir string) (*edgestore.Check, error) { return dumpStore(dir, stdout) })
	case "giveup":
		err = giveUp(words[1], stdout)
	case "format":
		return storeFormat(words[1], "", stdout, stderr)
	default:
		err = fmt.Errorf("%q is not known: check, dump, rebuild, giveup, format", words[0])
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("store: %w", err))
	}
	if !sound {
		return 1
	}
	return 0
}

// eachStore does something to each stream in a folder and reports on it; the
// lock of the journal is held meanwhile.
func eachStore(dir string, w io.Writer, do func(dir string) (*edgestore.Check, error)) (sound bool, err error) {
	root, stores, err := storesIn(dir)
	if err != nil {
		return false, err
	}
	unlock, err := lockStore(root)
	if err != nil {
		return false, err
	}
	defer unlock()
	sound = true
	catalogue := filepath.Join(root, "catalogue.db")
	if there(catalogue) {
		values, applied, cerr := edgestore.CheckTable(catalogue)
		if cerr != nil && !errors.Is(cerr, edgestore.ErrCorrupt) {
			return false, inUse(root, cerr) // which says nothing about the data
		}
		fmt.Fprintf(w, "%s: %d values, applied up to %d\n", catalogue, len(values), applied)
		if cerr != nil {
			sound = false
			fmt.Fprintf(w, "  damaged: %v\n", cerr)
		}
	}
	for _, s := range stores {
		c, err := do(s)
		if errors.Is(err, edgestore.ErrLocked) {
			return false, inUse(root, err)
		}
		if err != nil {
			sound = false
			fmt.Fprintf(w, "%s: %v\n", s, err)
			continue
		}
		printCheck(w, c)
		sound = sound && c.Sound()
	}
	if folder := filepath.Join(root, "journal"); there(filepath.Join(folder, "journal.id")) {
		fmt.Fprintf(w, "%s: what it has that the stores have not yet, messages and streams, is not shown here: the next start applies it\n", folder)
	}
	return sound, nil
}

// storeFormat shows the format of a data folder, or raises it.
func storeFormat(dir, to string, stdout, stderr io.Writer) int {
	err := func() error {
		root, _, err := storesIn(dir)
		if err != nil {
			return err
		}
		if to != "" {
			n, perr := strconv.ParseUint(to, 10, 32)
			if perr != nil {
				return fmt.Errorf("format: %q is no number", to)
			}
			if err := raiseFormat(root, n, stderr); err != nil {
				return err
			}
		}
		unlock, err := lockStore(root)
		if err != nil {
			return err
		}
		defer unlock()
		now, err := jetstream.FolderFormat(root)
		if err == nil {
			fmt.Fprintf(stdout, "%s: format %d; this program writes formats up to %d\n", root, now, jetstream.Format)
		}
		return inUse(root, err)
	}()
	if err != nil {
		return fail(stderr, fmt.Errorf("store: %w", err))
	}
	return 0
}

// raiseFormat starts what a server starts, without one.
func raiseFormat(root string, n uint64, stderr io.Writer) error {
	e, err := jetstream.New(jetstream.Config{
		Dir:     root,
		Journal: journal.Options{SharedDisk: true, LockWait: -1},
		Logger:  slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return inUse(root, err)
	}
	return errors.Join(e.RaiseFormat(n), e.Close())
}

// lockStore keeps servers away. A server locks the folder of its journal too, so
// that it is noticed where somebody removed the file.
func lockStore(root string) (unlock func(), err error) {
	folder := filepath.Join(root, "journal")
	if !there(folder) {
		return func() {}, nil
	}
	held, err := vfs.OS{}.Lock(filepath.Join(folder, "lock"))
	if err != nil {
		return nil, inUse(root, err)
	}
	return func() { held.Close() }, nil
}

// inUse says in the place of err who uses the folder, if that is what err says.
func inUse(root string, err error) error {
	if !errors.Is(err, edgestore.ErrLocked) && !errors.Is(err, vfs.ErrLocked) {
		return err
	}
	who := "a server runs on it: stop that first, or wait for another frond store"
	if pid, ok := core.ServerOf(root); ok {
		who = "a server runs on it: stop that first"
		if pid > 0 {
			who = fmt.Sprintf("a server runs on it, process %d: stop that first", pid)
		}
	}
	return fmt.Errorf("%s: %w (%s)", root, edgestore.ErrLocked, who)
}

// giveUp gives up what the disk does not read.
func giveUp(dir string, w io.Writer) error {
	root, stores, err := storesIn(dir)
	if err != nil {
		return err
	}
	unlock, err := lockStore(root)
	if err != nil {
		return err
	}
	defer unlock()
	files := []string{filepath.Join(root, "catalogue.db")}
	for _, folder := range append([]string{filepath.Join(root, "journal")}, stores...) {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && e.Name() != "lock" {
				files = append(files, filepath.Join(folder, e.Name()))
			}
		}
	}
	if _, err := os.Stat(files[0]); err != nil {
		files = files[1:] // nothing was drained yet, or it was put aside
	}
	given := 0
	for _, name := range files {
		parts, kept, gerr := edgestore.GiveUp(vfs.OS{}, name, filepath.Join(root, "quarantine"))
		if gerr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, gerr))
		}
		for _, p := range parts {
			given++
			fmt.Fprintf(w, "%s: bytes %d to %d are given up\n", name, p.From, p.To-1)
		}
		if kept != "" {
			fmt.Fprintf(w, "  the file as it was: %s\n", kept)
		}
	}
	if given == 0 && err == nil {
		fmt.Fprintf(w, "all of %d files can be read: nothing is given up\n", len(files))
	}
	return err
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// storesIn finds the folders of streams, and the folder that has the journal.
// Before the first drain there are no streams: all is in the journal.
func storesIn(dir string) (root string, stores []string, err error) {
	if files, _ := filepath.Glob(filepath.Join(dir, "*.chunks")); len(files) > 0 {
		return filepath.Dir(filepath.Dir(filepath.Clean(dir))), []string{dir}, nil
	}
	for _, root := range []string{filepath.Join(dir, "jetstream"), dir} {
		entries, err := os.ReadDir(filepath.Join(root, "streams"))
		if errors.Is(err, os.ErrNotExist) {
			if there(filepath.Join(root, "journal", "journal.id")) || there(filepath.Join(root, "catalogue.db")) {
				return root, nil, nil
			}
			continue
		}
		if err != nil {
			return "", nil, err
		}
		for _, e := range entries {
			if _, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && e.IsDir() {
				stores = append(stores, filepath.Join(root, "streams", e.Name()))
			}
		}
		return root, stores, nil
	}
	return "", nil, fmt.Errorf("%s is neither a data folder nor the folder of a stream", dir)
}

func printCheck(w io.Writer, c *edgestore.Check) {
	name := fmt.Sprintf("incarnation %d", c.Incarnation)
	if account, stream, ok := jetstream.StoredIn(c.Named); ok {
		name = fmt.Sprintf("stream %q of account %q", stream, account)
	}
	fmt.Fprintf(w, "%s: %s: %d messages of %d bytes, %d to %d, applied up to %d\n",
		c.Dir, name, c.State.Msgs, c.State.Bytes, c.State.FirstSeq, c.State.LastSeq, c.Applied)
	if c.Damaged != nil {
		fmt.Fprintf(w, "  damaged, and this is what a rebuild would find: %v\n", c.Damaged)
	}
	for _, f := range c.Files {
		if f.Err != nil {
			fmt.Fprintf(w, "  file %s, %d bytes: %v\n", f.Name, f.Size, f.Err)
		}
	}
	for _, r := range c.Unreadable {
		fmt.Fprintf(w, "  cannot be read: %d to %d\n", r.First, r.Last)
	}
	for _, r := range c.Lost {
		fmt.Fprintf(w, "  lost before: %d to %d\n", r.First, r.Last)
	}
	slices.Sort(c.Strays)
	for _, s := range c.Strays {
		fmt.Fprintf(w, "  not the stream's: %s\n", s)
	}
}

// rebuildStore also names the files that it made, set aside and removed.
func rebuildStore(dir string, w io.Writer) (*edgestore.Check, error) {
	before, err := filesIn(dir)
	if err != nil {
		return nil, err
	}
	c, err := edgestore.RebuildStore(dir)
	after, lerr := filesIn(dir)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	for _, name := range after {
		if _, had := slices.BinarySearch(before, name); !had {
			what := "made"
			if old, _, aside := strings.Cut(name, ".damaged-"); aside {
				what = "set aside, it was " + old
			}
			fmt.Fprintf(w, "%s: %s\n", filepath.Join(dir, name), what)
		}
	}
	for _, name := range before {
		_, has := slices.BinarySearch(after, name)
		kept := slices.ContainsFunc(after, func(x string) bool { return strings.HasPrefix(x, name+".damaged-") })
		if !has && !kept {
			fmt.Fprintf(w, "%s: removed, what can be read of it is in the new one\n", filepath.Join(dir, name))
		}
	}
	return c, err
}

// filesIn lists a folder, sorted.
func filesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// dumpedMessage is a line of a dump.
type dumpedMessage struct {
	Stream  string    `json:"stream"` // folder
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
	Header  string    `json:"header,omitempty"`
	Body    []byte    `json:"body"`
}

func dumpStore(dir string, w io.Writer) (*edgestore.Check, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return edgestore.DumpStore(dir, func(m *edgestore.Msg) error {
		return enc.Encode(dumpedMessage{filepath.Base(dir), m.Seq, time.Unix(0, m.Time).UTC(), m.Subject, string(m.Header), m.Body})
	})
}
