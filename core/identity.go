package core

import (
	"fmt"

	"github.com/nats-io/nkeys"
)

// identity names this run of the server.
type identity struct {
	id   string // N..., 56 characters
	xkey string // X..., for peers that encrypt to us
}

func newIdentity() (identity, error) {
	server, err := nkeys.CreateServer()
	if err != nil {
		return identity{}, fmt.Errorf("server key: %w", err)
	}
	curve, err := nkeys.CreateCurveKeys()
	if err != nil {
		return identity{}, fmt.Errorf("curve key: %w", err)
	}
	var i identity
	if i.id, err = server.PublicKey(); err != nil {
		return identity{}, fmt.Errorf("server key: %w", err)
	}
	if i.xkey, err = curve.PublicKey(); err != nil {
		return identity{}, fmt.Errorf("curve key: %w", err)
	}
	return i, nil
}
