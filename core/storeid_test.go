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
	mended := func(what string) (damage error) {
		t.Helper()
		if i, err := ReadStoreIdentity(dir); err != nil || i != first {
			t.Errorf("%s: read as %v, %v; it was %v", what, i, err, first)
		}
		i, damage, err := openIdentity(dir, false)
		if err != nil || i != first {
			t.Errorf("%s: opened as %v, %v; it was %v", what, i, err, first)
		}
		for _, path := range files {
			if i, err := readIdentity(path); err != nil || i != first {
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
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if damage := mended("the first gone"); damage == nil {
		t.Error("that the first file went is not told")
	}
	// Of a folder from before there was a second one, or a crash before it: no damage.
	write(files[0], fmt.Appendf(nil, `{"id":%q,"name":%q}`, first.ID, first.Name))
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if damage := mended("no second"); damage != nil {
		t.Errorf("a folder without the second file: told %v", damage)
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
