package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest names a parsed tree: SHA-256 over its JSON form with sorted keys and
// one newline at the end. It is the value nats-server prints for the same
// file, so that one tool can compare a fleet of both.
func Digest(tree *Value) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(tree.plain()); err != nil {
		return "", err // a float that is no number; the grammar has none
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
