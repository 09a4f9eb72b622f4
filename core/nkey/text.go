package nkey

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
)

// Kind says whom a key belongs to. Its upper five bits are the first letter
// of the text.
type Kind byte

// The kinds that a server meets.
const (
	Server Kind = 13 << 3 // N
	User   Kind = 20 << 3 // U
	Curve  Kind = 23 << 3 // X: a key of X25519, to encrypt to
)

const (
	seedMark = 18 << 3 // S
	keySize  = 32
	sumSize  = 2
)

var (
	errForm = errors.New("not an nkey: its form is wrong")
	errSum  = errors.New("not an nkey: its checksum is wrong")
	errKind = errors.New("an nkey of another kind than that of a user")
)

var coding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseUser is the key in the text of a user's public nkey.
func ParseUser(text string) (ed25519.PublicKey, error) {
	raw, err := decode([]byte(text), 1+keySize)
	if err != nil {
		return nil, err
	}
	if Kind(raw[0]) != User {
		return nil, errKind
	}
	return raw[1:], nil
}

// IsUser says whether the text is a user's public nkey.
func IsUser(text string) bool {
	_, err := ParseUser(text)
	return err == nil
}

// ParseUserSeed is the private key that the text of a user's seed stands for.
// The caller clears both when it is done.
func ParseUserSeed(text []byte) (ed25519.PrivateKey, error) {
	raw, err := decode(text, 2+keySize)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if raw[0]&^7 != seedMark {
		return nil, errForm
	}
	if Kind(raw[0]<<5|raw[1]>>3) != User {
		return nil, errKind
	}
	return ed25519.NewKeyFromSeed(raw[2:]), nil
}

// Public is the text of the public half of a user's key.
func Public(key ed25519.PrivateKey) string {
	return encode(User, key[ed25519.SeedSize:])
}

// NewServer makes a key nobody else has and returns the text of its public
// half: a name.
func NewServer() (string, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return encode(Server, public), nil
}

// NewCurve is NewServer for the kind Curve.
func NewCurve() (string, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return encode(Curve, key.PublicKey().Bytes()), nil
}

func encode(k Kind, key []byte) string {
	raw := append([]byte{byte(k)}, key...)
	sum := checksum(raw)
	return coding.EncodeToString(append(raw, byte(sum), byte(sum>>8)))
}

// decode takes off base32 and checksum; size is that of what remains.
func decode(text []byte, size int) ([]byte, error) {
	// The length first: a decoder skips line ends, which no key has.
	if len(text) != coding.EncodedLen(size+sumSize) {
		return nil, errForm
	}
	raw := make([]byte, size+sumSize)
	if n, err := coding.Decode(raw, text); err != nil || n != len(raw) {
		clear(raw)
		return nil, errForm
	}
	if sum := checksum(raw[:size]); raw[size] != byte(sum) || raw[size+1] != byte(sum>>8) {
		clear(raw)
		return nil, errSum
	}
	return raw[:size], nil
}

// checksum is CRC-16 with the polynomial of XMODEM. Without a table: keys are
// read once a connection.
func checksum(b []byte) uint16 {
	var sum uint16
	for _, c := range b {
		sum ^= uint16(c) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
