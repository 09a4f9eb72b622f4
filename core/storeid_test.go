package core

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoreIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := OpenStoreIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenStoreIdentity(dir)
	if err != nil || again != first {
		t.Errorf("it does not stay: %v, then %v, %v", first, again, err)
	}
	other, err := NewStoreIdentity(dir)
	if err != nil || other.ID == first.ID || other.Name == first.Name {
		t.Errorf("a new one: %v after %v, %v", other, first, err)
	}
}

// An identity that was lost or changed would make its hub collect everything
// once more: any damage to one of its files, of every bit, is seen and mended.
func TestStoreIdentity_damage(t *testing.T) {
	dir := t.TempDir()
	first, err := NewStoreIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(dir, identityFile), filepath.Join(dir, identityCopy)}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := true // something is stored
	mended := func(what string) (damage error) {
		t.Helper()
		if i, err := ReadStoreIdentity(dir); err != nil || i != first {
			t.Errorf("%s: read as %v, %v; it was %v", what, i, err, first)
		}
		i, damage, _, err := openIdentity(dir, data)
		if err != nil || i != first {
			t.Errorf("%s: opened as %v, %v; it was %v", what, i, err, first)
		}
		for _, path := range files {
			if i, err := readIdentity(path); err != nil || i.StoreIdentity != first || i.Sum == "" {
				t.Errorf("%s: %s has %v, %v afterwards", what, path, i, err)
			}
		}
		return damage
	}
	for _, path := range files {
		for at := range whole {
			for bit := range 8 {
				b := bytes.Clone(whole)
				b[at] ^= 1 << bit
				write(path, b)
				if i, err := ReadStoreIdentity(dir); err != nil || i != first {
					t.Errorf("%s, bit %d of byte %d: read as %v, %v", path, bit, at, i, err)
				}
			}
		}
		for _, b := range [][]byte{nil, whole[:20], make([]byte, 4096)} {
			write(path, b)
			if damage := mended(fmt.Sprintf("%s of %q", path, b)); !errors.Is(damage, errIdentity) {
				t.Errorf("%s of %q: told %v", path, b, damage)
			}
		}
	}
	for _, path := range files {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if damage := mended(path + " gone"); !errors.Is(damage, os.ErrNotExist) || !strings.Contains(damage.Error(), path) {
			t.Errorf("%s gone: told %v", path, damage)
		}
		if damage := mended("all there"); damage != nil {
			t.Errorf("all there: told %v", damage)
		}
	}
	// A crash between the two, before there is anything.
	data = false
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if damage := mended("a crash"); damage != nil {
		t.Errorf("a crash between the two files: told %v", damage)
	}
	// A folder from before there was a second one. The start that makes it says in
	// the first that it is there.
	data = true
	write(files[0], fmt.Appendf(nil, `{"id":%q,"name":%q}`, first.ID, first.Name))
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if damage := mended("no second"); damage != nil {
		t.Errorf("a folder without the second file: told %v", damage)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if damage := mended("no second any more"); damage == nil {
		t.Error("that the second file of a folder from before went is not told")
	}
	for _, path := range files {
		write(path, []byte("{"))
	}
	if _, err := OpenStoreIdentity(dir); !errors.Is(err, errIdentity) || !strings.Contains(err.Error(), "frond identity new --data "+dir) {
		t.Errorf("both damaged: %v", err)
	}
}

func TestNameFrom(t *testing.T) {
	for host, want := range map[string]string{
		"gw7": "gw7-abc", "Gateway_7.plant.example": "Gateway_7-abc", "": "frond-abc", "--": "frond-abc",
		"über gw": "ber-gw-abc", "a>b*c": "a-b-c-abc", strings.Repeat("x", 300): strings.Repeat("x", hostNameMost) + "-abc",
	} {
		if got := nameFrom(host, "abc"); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}
