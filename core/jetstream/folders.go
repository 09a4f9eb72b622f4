package jetstream

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/frondmq/frond/edgestore/vfs"
)

// The folders in the engine's own.
const (
	streamsFolder    = "streams"
	quarantineFolder = "quarantine"
	journalFolder    = "journal"
	catalogueFile    = "catalogue.db"
	noteFile         = "WHY.txt"
)

// refuseForeign finds out whether dir holds the streams of a nats-server. They
// can't be read here, so the start is refused before anything is written.
func refuseForeign(dir, journalDir string) error {
	if _, err := os.Stat(filepath.Join(journalDir, "journal.id")); err == nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*", streamsFolder, "*", "meta.inf"))
	if err != nil || len(found) == 0 {
		return nil
	}
	return fmt.Errorf("folder %s holds %d stream(s) of a nats-server (%s), which this server does not read, and it was left as it is: "+
		"give this server a folder of its own and let it mirror the streams of the old server over a leaf link (frond help from-nats-server)",
		dir, len(found), found[0])
}

// escapeGlob makes a path match itself only.
func escapeGlob(path string) string {
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		if c := path[i]; (c == '*' || c == '?' || c == '[') && os.PathSeparator != '\\' {
			out = append(out, '\\')
		}
		out = append(out, path[i])
	}
	return string(out)
}

// quarantine moves a folder that belongs to no known stream out of the way,
// with a note. Nothing in it is changed. It returns where it is then.
func quarantine(root, folder, why string) (string, error) {
	fs := vfs.OS{}
	base := filepath.Join(root, quarantineFolder)
	if err := fs.MkdirAll(base); err != nil {
		return "", err
	}
	to := ""
	for n := 1; ; n++ {
		to = filepath.Join(base, fmt.Sprintf("%s-%d", filepath.Base(folder), n))
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
	}
	if err := fs.Rename(folder, to); err != nil {
		return "", err
	}
	err := errors.Join(fs.SyncDir(base), fs.SyncDir(filepath.Dir(folder)))
	note := fmt.Sprintf("%s\nPut aside on %s. It was %s before.\n", why, time.Now().UTC().Format(time.RFC3339), folder)
	return to, errors.Join(err, os.WriteFile(filepath.Join(to, noteFile), []byte(note), 0o600))
}

// openTable opens the catalogue's table, where the disk has no room in that of the
// spare file: a server must come up so that room can be made.
func (e *Engine) openTable() (table, error) {
	t, err := e.cfg.backend.table()
	if vfs.IsNoSpace(err) && os.Remove(filepath.Join(e.cfg.Dir, spareName)) == nil {
		t, err = e.cfg.backend.table()
	}
	return t, err
}

// setAside renames a file that can't be used and tells its new name.
func setAside(path string) (string, error) {
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
			if err != nil {
				return "", err
			}
			continue
		}
		if err := (vfs.OS{}).Rename(path, to); err != nil {
			return "", err
		}
		return to, vfs.OS{}.SyncDir(filepath.Dir(path))
	}
}

// streamFolders lists the incarnations that have a folder, and what else lies
// beside them.
func streamFolders(dir string) (incarnations []uint64, strange []string, err error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	for _, n := range names {
		inc, perr := strconv.ParseUint(n.Name(), 10, 64)
		if perr != nil || inc == 0 || strconv.FormatUint(inc, 10) != n.Name() {
			strange = append(strange, n.Name())
			continue
		}
		incarnations = append(incarnations, inc)
	}
	return incarnations, strange, err
}
