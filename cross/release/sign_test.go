package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testKey is a pair that is in the repository for everybody to see.
func testKey(t *testing.T, r *release) {
	t.Helper()
	r.key, r.public = "testdata/test.key", "testdata/test.pub"
	if err := os.WriteFile(filepath.Join(r.out, "a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whoever follows SECURITY.md with minisign and sha256sum sees what was signed,
// and sees it when a byte is another.
func TestSign_is_verified_by_the_tools_of_users(t *testing.T) {
	r, _ := testRelease(t)
	testKey(t, r)
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	public, err := filepath.Abs(r.public)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"minisign", "sha256sum"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not on this machine: verified by the library only", name)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = r.out
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	verify := []string{"minisign", "-Vm", sumsName, "-p", public}
	check := []string{"sha256sum", "--check", "--ignore-missing", sumsName}
	security := string(read(t, filepath.Join(r.root, "SECURITY.md")))
	for _, words := range []string{"minisign -Vm SHA256SUMS -p ", strings.Join(check, " ")} {
		if !strings.Contains(security, "    "+words) {
			t.Errorf("SECURITY.md does not say %q", words)
		}
	}
	for _, args := range [][]string{verify, check} {
		if out, err := run(args...); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(r.out, "a"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(check...); err == nil {
		t.Errorf("a file that was changed passes\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(r.out, sumsName), []byte("other sums"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(verify...); err == nil {
		t.Errorf("sums that were changed pass\n%s", out)
	}
}

// A signature that users could not verify with the key they have is not left.
func TestSign_with_another_key_is_an_error(t *testing.T) {
	r, _ := testRelease(t)
	testKey(t, r)
	r.public = filepath.Join(t.TempDir(), "other.pub")
	// The same key with one digit of its number changed.
	text := strings.Replace(string(read(t, "testdata/test.pub")), "RWTmjc", "RWTmjd", 1)
	if err := os.WriteFile(r.public, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.sums(); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(r.out, sumsName+".minisig")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a signature is there: %v", err)
	}
}

// There is no key of releases yet, and the key of tests is not to become one.
func TestSign_the_key_of_tests_is_not_the_key_of_releases(t *testing.T) {
	r, _ := testRelease(t)
	if r.public == "" {
		t.Logf("%s is not there: releases can't be verified yet, as SECURITY.md says", publicKey)
		if text := string(read(t, filepath.Join(r.root, "SECURITY.md"))); !strings.Contains(text, "There is no such key yet") {
			t.Error("SECURITY.md does not say that there is no key")
		}
		return
	}
	key := strings.Fields(string(read(t, "testdata/test.pub")))
	if strings.Contains(string(read(t, r.public)), key[len(key)-1]) {
		t.Error("the key of releases is the one of tests, whose secret everybody has")
	}
}
