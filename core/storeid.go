package core

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/frondmq/frond/edgestore/vfs"
)

// StoreIdentity says whose data folder it is. It stays with the folder, and so
// a copy of the folder has it too: a hub tells the two servers apart by their
// runs.
type StoreIdentity struct {
	// ID is random.
	ID string `json:"id"`
	// Name is for a server, and the domain of its JetStream, that were given
	// none: the name of the machine when the folder was made, and a random word.
	Name string `json:"name"`
}

const identityFile = "identity.json"

// ReadStoreIdentity reads the identity of the data folder dir. It is an
// os.ErrNotExist when there is none yet.
func ReadStoreIdentity(dir string) (i StoreIdentity, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(b, &i); err != nil || i.ID == "" || i.Name == "" {
		return i, fmt.Errorf("%s is damaged: frond identity new --data %s makes another", path, dir)
	}
	return i, nil
}

// OpenStoreIdentity is ReadStoreIdentity that makes what is not there.
func OpenStoreIdentity(dir string) (StoreIdentity, error) {
	i, err := ReadStoreIdentity(dir)
	if errors.Is(err, os.ErrNotExist) {
		return NewStoreIdentity(dir)
	}
	return i, err
}

// NewStoreIdentity gives the data folder dir an identity, in place of the one
// that it has, durably. No server runs there: the next start takes it.
func NewStoreIdentity(dir string) (StoreIdentity, error) {
	i := StoreIdentity{ID: rand.Text(), Name: NewStoreName()}
	b, err := json.Marshal(&i)
	if err == nil {
		err = writeDurably(dir, identityFile, append(b, '\n'))
	}
	if err != nil {
		return StoreIdentity{}, fmt.Errorf("identity of the data folder: %w", err)
	}
	return i, nil
}

// NewStoreName is a name as StoreIdentity has one, stored nowhere.
func NewStoreName() string {
	host, _ := os.Hostname() // none is a machine without a name
	return nameFrom(host, strings.ToLower(rand.Text()[:wordLetters]))
}

const (
	// wordLetters give 30 bits: among a thousand machines of one name, two have
	// the same word in one fleet of two thousand.
	wordLetters  = 6
	hostNameMost = 40
)

// nameFrom makes a name that a server and a domain can have.
func nameFrom(host, word string) string {
	host, _, _ = strings.Cut(host, ".")
	host = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r
		}
		return '-'
	}, host)
	if host = strings.Trim(host[:min(len(host), hostNameMost)], "-_"); host == "" {
		host = "frond"
	}
	return host + "-" + word
}

// writeDurably replaces the file name in dir.
func writeDurably(dir, name string, b []byte) error {
	fs := vfs.OS{}
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := fs.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
