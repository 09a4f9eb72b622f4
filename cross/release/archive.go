package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is one file that goes along.
type entry struct {
	name string // with forward slashes, from the top of the archive
	body []byte
	exec bool
}

func (e *entry) mode() int64 {
	if e.exec {
		return 0o755
	}
	return 0o644
}

// writeTarGz packs files into a folder dir of a tarball, in the order of their
// names, owned by root, all of one time.
func writeTarGz(file, dir string, at time.Time, files []entry) error {
	return create(file, func(w io.Writer) error {
		gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		return errors.Join(writeTar(gz, dir, at, files), gz.Close())
	})
}

func writeTar(w io.Writer, dir string, at time.Time, files []entry) error {
	tw := tar.NewWriter(w)
	for _, e := range sorted(files) {
		h := &tar.Header{
			Name: path.Join(dir, e.name), Mode: e.mode(), Size: int64(len(e.body)), ModTime: at,
			Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(e.body); err != nil {
			return err
		}
	}
	return tw.Close()
}

// writeZip is the same for those who have no tar.
func writeZip(file, dir string, at time.Time, files []entry) error {
	return create(file, func(w io.Writer) error {
		zw := zip.NewWriter(w)
		for _, e := range sorted(files) {
			h := &zip.FileHeader{Name: path.Join(dir, e.name), Method: zip.Deflate, Modified: at}
			h.SetMode(os.FileMode(e.mode()))
			f, err := zw.CreateHeader(h)
			if err != nil {
				return err
			}
			if _, err := f.Write(e.body); err != nil {
				return err
			}
		}
		return zw.Close()
	})
}

func sorted(files []entry) []entry {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return files
}

// create writes a file whole or not at all.
func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Close()); err == nil {
		err = os.Rename(name+".tmp", name)
	}
	if err != nil {
		os.Remove(name + ".tmp")
	}
	return err
}
