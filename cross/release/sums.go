package main

import (
	"crypto/sha256"
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

// sign writes a signature that minisign verifies:
//
//	minisign -Vm SHA256SUMS -p frond.pub
func (r *release) sign(file string, text []byte) error {
	key, err := minisign.PrivateKeyFromFile(os.Getenv("FROND_KEY_PASSWORD"), r.key)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", r.key, err)
	}
	sig := minisign.SignWithComments(key, text, fmt.Sprintf("frond %s", r.version), "signature of frond's checksums")
	return create(file+".minisig", func(w io.Writer) error { _, err := w.Write(sig); return err })
}
