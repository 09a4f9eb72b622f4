package jetstream

import (
	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// StoredIn is the name of the stream that the files of a store belong to, and
// its account, from the values that the store keeps beside the messages. ok is
// false when they do not say it.
func StoredIn(named []edgestore.Aux) (account, stream string, ok bool) {
	for _, a := range named {
		if a.Key != auxIdentity {
			continue
		}
		c, err := readStreamCreate(append([]byte(nil), a.Value...))
		if err != nil {
			return "", "", false
		}
		cfg, err := asset.Decode(c.config)
		if err != nil {
			return "", "", false
		}
		return c.account, cfg.Name, true
	}
	return "", "", false
}
