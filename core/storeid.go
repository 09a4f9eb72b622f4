package core

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
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

// An identity that is lost makes the folder another edge, whose readings its hub
// collects once more. So there are two files of it, each with a checksum; the
// first counts where they differ, as it is written first.
//
// Where both went beside data there is a third, empty, before there are new ones:
// it stays until that was told.
const (
	identityFile = "identity.json"
	identityCopy = "identity.copy"
	identityAnew = "identity.anew"
)

// identityRow is what stands in a file.
type identityRow struct {
	StoreIdentity
	// Sum is there in all but the first file of a folder from before there were
	// sums. That a first file has one says that there is a second, or a crash came
	// between the two, when nothing was stored yet.
	Sum string `json:"sum,omitempty"`
}

// errIdentity: the bytes of a file are no identity.
var errIdentity = errors.New("damaged")

func (i StoreIdentity) sum() string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(i.ID+"\n"+i.Name)))
}

func readIdentity(path string) (r identityRow, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return identityRow{}, err
	}
	if json.Unmarshal(b, &r) != nil || r.ID == "" || r.Name == "" || r.Sum != "" && r.Sum != r.sum() {
		return identityRow{}, fmt.Errorf("%s: %w", path, errIdentity)
	}
	return r, nil
}

// findIdentity reads both files of dir. stale are those to write anew, in that
// order, and damage says so where that is no ordinary thing, as a crash between the
// two is. data: something is stored in the folder.
func findIdentity(dir string, data bool) (i StoreIdentity, stale []string, damage, err error) {
	one, err := readIdentity(filepath.Join(dir, identityFile))
	two, errSecond := readIdentity(filepath.Join(dir, identityCopy))
	switch i = one.StoreIdentity; {
	case err == nil:
		if errSecond != nil || i != two.StoreIdentity {
			stale = append(stale, identityCopy)
		}
		if one.Sum == "" {
			stale = append(stale, identityFile) // says that there is the other
		}
		if errors.Is(errSecond, os.ErrNotExist) && (one.Sum == "" || !data) {
			errSecond = nil
		}
		return i, stale, errSecond, nil
	case errSecond == nil:
		return two.StoreIdentity, []string{identityFile}, err, nil
	case errors.Is(err, os.ErrNotExist):
		err = errSecond
	}
	if errors.Is(err, errIdentity) {
		err = fmt.Errorf("%w, and there is no whole copy of it: frond identity new --data %s makes another; a hub that collects takes that for another edge, and what is stored here once more", err, dir)
	}
	return StoreIdentity{}, nil, nil, err
}

// ReadStoreIdentity reads the identity of the data folder dir. It is an
// os.ErrNotExist when there is none yet.
func ReadStoreIdentity(dir string) (StoreIdentity, error) {
	i, _, _, err := findIdentity(dir, false)
	return i, err
}

// OpenStoreIdentity is ReadStoreIdentity that makes one where there is none. That a
// folder with data had none is told by the server that starts there next, which
// also mends what is damaged.
func OpenStoreIdentity(dir string) (StoreIdentity, error) {
	i, err := ReadStoreIdentity(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return i, err
	}
	_, err = os.Stat(filepath.Join(dir, "jetstream", "journal"))
	i, _, _, err = openIdentity(dir, err == nil)
	return i, err
}

// openIdentity also says what was damaged and is mended, and why what had to be
// written could not be: the next start tries that again. data: something is stored in
// the folder.
func openIdentity(dir string, data bool) (i StoreIdentity, damage, unwritten, err error) {
	i, stale, damage, err := findIdentity(dir, data)
	switch {
	case errors.Is(err, os.ErrNotExist) && data:
		if err = writeDurably(dir, identityAnew, nil); err == nil {
			i, err = NewStoreIdentity(dir)
		}
	case errors.Is(err, os.ErrNotExist):
		i, err = NewStoreIdentity(dir)
	}
	for _, name := range stale {
		if unwritten = i.write(dir, name); unwritten != nil {
			break // a first file has a sum when there is a second
		}
	}
	return i, damage, unwritten, err
}

// madeAnew reports whether the identity of dir was made beside data, and nobody
// was told. told ends that.
func madeAnew(dir string) (anew bool, told func() error) {
	path := filepath.Join(dir, identityAnew)
	_, err := os.Stat(path)
	return err == nil, func() error { return os.Remove(path) }
}

// NewStoreIdentity gives the data folder dir an identity, in place of the one
// that it has, durably. No server runs there: the next start takes it.
func NewStoreIdentity(dir string) (StoreIdentity, error) {
	i := StoreIdentity{ID: rand.Text(), Name: NewStoreName()}
	err := i.write(dir, identityFile)
	if err == nil {
		err = i.write(dir, identityCopy)
	}
	if err != nil {
		return StoreIdentity{}, fmt.Errorf("identity of the data folder: %w", err)
	}
	return i, nil
}

func (i StoreIdentity) write(dir, name string) error {
	b, err := json.Marshal(identityRow{i, i.sum()})
	if err != nil {
		return err
	}
	return writeDurably(dir, name, append(b, '\n'))
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
