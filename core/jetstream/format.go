package jetstream

import (
	"fmt"
	"path/filepath"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/edgestore"
)

// The format of a data folder says which programs can read it. A program writes
// the one that the folder has, reads the one before too, and nothing newer; a
// newer one is only written after an operation of the catalogue that raises it
// (RaiseFormat), so that a box that falls back to the release before finds what
// that reads.
const (
	// Format is the newest that this program writes.
	Format = 2
	// firstFormat is that of a folder that says nothing.
	firstFormat = 2

	rowFormat = "format"
)

// FolderFormat is the format that the data in a folder has, as its catalogue
// says; nothing may run on it.
func FolderFormat(dir string) (uint64, error) {
	value, ok, err := edgestore.TableValue(filepath.Join(dir, catalogueFile), rowFormat)
	if err != nil || !ok {
		return firstFormat, err
	}
	return readFormat(value)
}

// CheckFolder refuses the folder of a newer program as a start does, beside a
// server that runs on it too. It writes nothing; what can't be read is for the
// start. A format only grows, so the highest that the file still holds counts.
func CheckFolder(dir string) error {
	versions, err := edgestore.TableVersions(filepath.Join(dir, catalogueFile), rowFormat)
	if err != nil {
		return nil
	}
	highest := uint64(firstFormat)
	for _, v := range versions {
		if n, err := readFormat(v); err == nil {
			highest = max(highest, n)
		}
	}
	return knownFormat(dir, highest, Format)
}

func knownFormat(dir string, n, newest uint64) error {
	if n <= newest {
		return nil
	}
	return fmt.Errorf("the data folder %s has format %d, this program reads formats up to %d: %w", dir, n, newest, edgestore.ErrFormat)
}

func readFormat(value []byte) (uint64, error) {
	r := opReader{b: value}
	n := r.uint()
	return n, r.done("format")
}

// checkFormat refuses a folder of a newer program, before anything is written.
// A catalogue that can't be read is somebody else's concern.
func (e *Engine) checkFormat() error {
	n, err := e.cfg.backend.format()
	if err != nil {
		return nil
	}
	return knownFormat(e.cfg.Dir, n, e.cfg.newestFormat)
}

// Format is the format of the data folder, which is what is written.
func (e *Engine) Format() uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return max(e.mu.cat.format, firstFormat)
}

// RaiseFormat has a newer format written from now on, durably. Programs that do
// not know it refuse the folder then; there is no way back.
func (e *Engine) RaiseFormat(n uint64) error {
	switch now := e.Format(); {
	case n > e.cfg.newestFormat:
		return fmt.Errorf("format %d: this program writes formats up to %d", n, e.cfg.newestFormat)
	case n < now:
		return fmt.Errorf("format %d: the data folder has format %d, and there is no way back", n, now)
	case n == now:
		return nil
	case e.journal == nil:
		return errNotAvailable
	}
	if _, err := e.submit(e.journal, e.catalogueRecord(e.journal, opFormat), true, appendUint(nil, n)); err != nil {
		return err
	}
	return nil
}

func (a *applier) format(en *edgestore.Entry) *apierror.Error {
	n, err := readFormat(en.Data)
	if err != nil {
		return apierror.Of(err, errStoreFailed)
	}
	e := a.e
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.mu.cat
	if a.replays && en.LSN <= c.skipUpTo {
		return nil
	}
	c.format = max(c.format, n)
	c.rows = append(c.rows, edgestore.Aux{Key: rowFormat, Value: appendUint(nil, c.format)})
	c.touch(en.LSN)
	return nil
}
