package auth

import (
	"crypto/rand"
	"encoding/base64"
)

// NewNonce makes the text that a peer signs to prove that it has a key. The
// text itself is what is signed.
func NewNonce() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
