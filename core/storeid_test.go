package core

import (
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
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStoreIdentity(dir); err == nil || !strings.Contains(err.Error(), identityFile+" is damaged") {
		t.Errorf("a damaged one: %v", err)
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
