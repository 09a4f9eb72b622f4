package edgestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/frondmq/frond/edgestore/vfs"
)

// GivenUp is a part of a file that the disk does not read.
type GivenUp struct{ From, To int64 }

// giveUpBytes is what is given up at least: the unit of the page cache.
const giveUpBytes = 4 << 10

// GiveUp is for a file of a stopped server that the disk does not read in some
// place for good. A read that fails is no damage and gives nothing up, so a
// start waits for it; after GiveUp there are zeros in that place, which is
// damage, and dealt with as such. The file as it was goes to the folder aside,
// which is on the same disk, under the name that is returned; where a file can't
// have two names it is a copy of what can be read. When all of it can be read
// nothing changes. There is a file at path at every moment, the one or the other:
// whoever is stopped in between, by a power cut too, starts anew.
func GiveUp(disk vfs.FS, path, aside string) (parts []GivenUp, kept string, err error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, "", err
	}
	page := make([]byte, giveUpBytes)
	for at := int64(0); at < size; at += giveUpBytes {
		n := min(giveUpBytes, size-at)
		if readPart(f, page[:n], at) == nil {
			continue
		}
		if last := len(parts) - 1; last >= 0 && parts[last].To == at {
			parts[last].To = at + n
		} else {
			parts = append(parts, GivenUp{at, at + n})
		}
	}
	if len(parts) == 0 {
		return nil, "", nil
	}
	if err := disk.MkdirAll(aside); err != nil {
		return nil, "", err
	}
	if kept, err = freeName(disk, aside, filepath.Base(path)+".unread-"); err != nil {
		return nil, "", err
	}
	// Beside the file, for only within a folder is a rename one step.
	copied := path + tmpSuffix
	if err := copyReadable(disk, f, size, copied, parts); err != nil {
		_ = disk.Remove(copied)
		return nil, "", fmt.Errorf("copy of %s: %w", path, err)
	}
	if disk.Link(path, kept) != nil {
		err = copyReadable(disk, f, size, kept, parts)
	}
	// Windows renames to no name that is open.
	if err = errors.Join(err, f.Close()); err == nil {
		err = disk.SyncDir(aside)
	}
	if err == nil {
		err = disk.Rename(copied, path)
	}
	if err != nil {
		_, _ = disk.Remove(copied), disk.Remove(kept)
		return nil, "", err
	}
	return parts, kept, disk.SyncDir(filepath.Dir(path))
}

// readPart tries a few times: what comes back is not given up.
func readPart(f vfs.File, b []byte, at int64) (err error) {
	for range readTries {
		if _, err = f.ReadAt(b, at); err == nil {
			return nil
		}
	}
	return err
}

// copyReadable makes a durable copy with zeros in place of parts.
func copyReadable(disk vfs.FS, f vfs.File, size int64, to string, parts []GivenUp) (err error) {
	out, err := disk.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	b := make([]byte, giveUpBytes)
	for at := int64(0); at < size; at += giveUpBytes {
		n := min(giveUpBytes, size-at)
		for len(parts) > 0 && parts[0].To <= at {
			parts = parts[1:]
		}
		clear(b)
		if len(parts) == 0 || at < parts[0].From {
			if err := readPart(f, b[:n], at); err != nil {
				return err
			}
		}
		if _, err := out.WriteAt(b[:n], at); err != nil {
			return err
		}
	}
	return out.Sync()
}

// freeName is a name in dir that nothing has: prefix and a number.
func freeName(disk vfs.FS, dir, prefix string) (string, error) {
	names, err := disk.List(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	taken := make(map[string]bool, len(names))
	for _, n := range names {
		taken[n] = true
	}
	for n := 1; ; n++ {
		if name := prefix + strconv.Itoa(n); !taken[name] {
			return filepath.Join(dir, name), nil
		}
	}
}
