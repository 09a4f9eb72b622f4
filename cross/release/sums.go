package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"aead.dev/minisign"
)

const sumsName = "SHA256SUMS"

// sums writes the checksums of everything in the output folder (also of what
// earlier steps made), and signs them.
func (r *release) sums() error {
	names, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, n := range names {
		if n.IsDir() || n.Name() == sumsName || n.Name() == sumsName+".minisig" {
			continue
		}
		sum, err := fileSum(filepath.Join(r.out, n.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sum, n.Name()))
	}
	slices.SortFunc(lines, func(a, b string) int { return compareNames(a, b) })
	var text []byte
	for _, l := range lines {
		text = append(text, l...)
	}
	file := filepath.Join(r.out, sumsName)
	if err := create(file, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	if r.key == "" {
		return os.RemoveAll(file + ".minisig") // an older one would be of other bytes
	}
	return r.sign(file, text)
}

// compareNames orders lines of checksums by what stands behind the sum.
func compareNames(a, b string) int {
	const at = 2*sha256.Size + 2
	switch {
	case a[at:] < b[at:]:
		return -1
	case a[at:] > b[at:]:
		return 1
	}
	return 0
}

func fileSum(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// publicKey is where the repository holds the key that releases are verified
// with. There is none yet: who makes the first release makes the pair, and
// keeps the other half.
const publicKey = "cross/release/frond.pub"

// sign writes a signature that minisign verifies:
//
//	minisign -Vm SHA256SUMS -p frond.pub
//
// One that nobody could verify by the public key in the repository is an error.
func (r *release) sign(file string, text []byte) error {
	key, err := secretKey(r.key)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", r.key, err)
	}
	sig := minisign.SignWithComments(key, text, fmt.Sprintf("frond %s", r.version), "signature of frond's checksums")
	if r.public == "" {
		fmt.Printf("signed, but the repository has no %s that anybody could verify it with\n", publicKey)
	} else if err := verify(r.public, text, sig); err != nil {
		return errors.Join(err, os.RemoveAll(file+".minisig"))
	}
	return create(file+".minisig", func(w io.Writer) error { _, err := w.Write(sig); return err })
}

// secretKey reads a key as minisign writes it: encrypted, or with -W not.
func secretKey(file string) (key minisign.PrivateKey, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return key, err
	}
	if minisign.IsEncrypted(text) {
		return minisign.DecryptKey(os.Getenv("FROND_KEY_PASSWORD"), text)
	}
	err = key.UnmarshalText(text)
	return key, err
}

func verify(public string, text, sig []byte) error {
	key, err := minisign.PublicKeyFromFile(public)
	if err != nil {
		return fmt.Errorf("public key %s: %w", public, err)
	}
	if !minisign.Verify(key, text, sig) {
		return fmt.Errorf("what was signed is not verified by %s: that is the public half of another key", public)
	}
	return nil
}
