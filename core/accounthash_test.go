//go:build !lite

package core

import "testing"

func TestMapping_accountHash(t *testing.T) {
	for dest, want := range map[string]string{
		"bar.{{account-hash()}}.{{wildcard(1)}}": "bar.NUmM6cRx.{{wildcard(1)}}",
		"{{ Account-Hash( ) }}":                  "NUmM6cRx",
		"a.account-hash()":                       "a.account-hash()",
	} {
		if got, err := withAccount(dest, "A"); got != want || err != nil {
			t.Errorf("%s: got %s, %v", dest, got, err)
		}
	}
	if _, err := withAccount("a.{{account-hash(1)}}", "A"); err == nil {
		t.Error("an argument is taken")
	}
}
