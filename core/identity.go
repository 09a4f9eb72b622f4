package core

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/frondmq/frond/core/nkey"
)

// identity names this run of the server.
type identity struct {
	id   string // N..., 56 characters
	xkey string // X..., for peers that encrypt to us
}

func newIdentity() (identity, error) {
	id, err := nkey.NewServer()
	if err != nil {
		return identity{}, fmt.Errorf("server key: %w", err)
	}
	xkey, err := nkey.NewCurve()
	if err != nil {
		return identity{}, fmt.Errorf("curve key: %w", err)
	}
	return identity{id, xkey}, nil
}

// NewNonce makes the text that a peer signs to prove that it has a key. The
// text itself is what is signed.
func NewNonce() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
