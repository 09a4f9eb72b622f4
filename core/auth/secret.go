package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"
)

// secret is a password or token as configured: plain, or a hash, of bcrypt or as
// mosquitto_passwd makes it.
type secret struct {
	set       bool
	hash      []byte // bcrypt
	mosquitto mosquittoHash
	plain     [sha256.Size]byte
}

func newSecret(text string) secret {
	s := secret{set: text != ""}
	if isBcrypt(text) {
		s.hash = []byte(text)
		return s
	}
	s.mosquitto, _ = parseMosquittoHash(text)
	s.plain = sha256.Sum256([]byte(text))
	return s
}

func isBcrypt(text string) bool {
	if len(text) != bcryptLength {
		return false
	}
	for _, p := range []string{"$2a$", "$2b$", "$2x$", "$2y$"} {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}

// bcryptLength is that of every bcrypt hash; anything else is a plain password
// that looks like one.
const bcryptLength = 60

// matches compares in constant time; the digests hide the length too. A secret
// that is not set matches nothing.
func (s *secret) matches(presented string) bool {
	if s.hash != nil {
		return bcrypt.CompareHashAndPassword(s.hash, []byte(presented)) == nil
	}
	if s.mosquitto.rounds > 0 {
		return s.mosquitto.matches(presented)
	}
	sum := sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(sum[:], s.plain[:]) == 1 && s.set
}

// cost is how long matches takes, in microseconds or so.
func (s *secret) cost() int {
	if s.hash == nil {
		return s.mosquitto.rounds
	}
	n, err := bcrypt.Cost(s.hash)
	if err != nil {
		return 0
	}
	return 50 << min(n, 24)
}

// verifyNonce checks a signature over the text of the nonce, in base64 of the
// URL alphabet without padding or of the standard one.
func verifyNonce(public, nonce, sig string) error {
	if nonce == "" || sig == "" {
		return errors.New("the nonce is not signed")
	}
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		if raw, err = base64.StdEncoding.DecodeString(sig); err != nil {
			return errors.New("the signature is not base64")
		}
	}
	key, err := nkeys.FromPublicKey(public)
	if err != nil {
		return err
	}
	if err := key.Verify([]byte(nonce), raw); err != nil {
		return errors.New("the signature does not fit the nonce")
	}
	return nil
}
