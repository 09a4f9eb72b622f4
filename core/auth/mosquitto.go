package auth

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// mosquittoHash is a password as mosquitto_passwd writes it since 2.0: PBKDF2 with
// SHA-512, "$7$rounds$salt$hash" with both in base64 (mosquitto's own manual and
// files are the source). It is there for whoever comes from mosquitto; the hashes of
// "frond passwd" are stronger.
type mosquittoHash struct {
	rounds     int // 0: it is none
	salt, hash string
}

// maxRounds keeps a CONNECT from holding a processor for more than seconds.
const maxRounds = 5_000_000

// parseMosquittoHash reports false for what is no such hash: a plain password that
// looks like one.
func parseMosquittoHash(text string) (h mosquittoHash, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "7" {
		return h, false
	}
	rounds, err := strconv.Atoi(parts[2])
	salt, saltErr := base64.StdEncoding.DecodeString(parts[3])
	hash, hashErr := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || saltErr != nil || hashErr != nil || rounds < 1 || rounds > maxRounds || len(salt) == 0 || len(hash) != sha512.Size {
		return h, false
	}
	return mosquittoHash{rounds, string(salt), string(hash)}, true
}

func (h *mosquittoHash) matches(presented string) bool {
	sum, err := pbkdf2.Key(sha512.New, presented, []byte(h.salt), h.rounds, len(h.hash))
	return err == nil && subtle.ConstantTimeCompare(sum, []byte(h.hash)) == 1
}
