package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nkeys"
)

// Signer proves who this server is to a server that it dials. A file is read
// again for every proof and its secrets are not kept, so that rotated
// credentials are used at the next connection.
type Signer struct {
	path  string
	creds bool
	seed  string // when the configuration holds the seed itself
}

// Proof is what goes into CONNECT.
type Proof struct {
	JWT  string // from a credentials file
	NKey string // public key, from a seed
	Sig  string
}

// NewCredsSigner is for a credentials file: a user JWT and its seed.
func NewCredsSigner(path string) *Signer { return &Signer{path: path, creds: true} }

// NewSeedSigner is for an nkey seed, given as itself or as the path of a file
// that holds it.
func NewSeedSigner(seedOrPath string) *Signer {
	if strings.HasPrefix(seedOrPath, "SU") && len(seedOrPath) == seedLength {
		return &Signer{seed: seedOrPath}
	}
	return &Signer{path: seedOrPath}
}

// Sign proves knowledge of the seed by signing the text of the nonce.
func (s *Signer) Sign(nonce string) (Proof, error) {
	text := []byte(s.seed)
	name := "nkey seed"
	if s.seed == "" {
		name = s.path
		var err error
		if text, err = readSecretFile(s.path); err != nil {
			return Proof{}, err
		}
	}
	defer clear(text)
	p, err := prove(text, s.creds, nonce)
	if err != nil {
		return Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

const (
	seedLength = 58 // of an encoded user seed
	// maxSecretFile bounds what is read; a user JWT has a few kB.
	maxSecretFile = 1 << 20
)

func readSecretFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err // names the file
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if info.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s: too large for a credentials file", path)
	}
	return os.ReadFile(path)
}

// prove signs with the seed in text. The seed is wiped by the caller with
// text; the key pair is wiped here.
func prove(text []byte, creds bool, nonce string) (Proof, error) {
	seed, err := findSeed(text)
	if err != nil {
		return Proof{}, err
	}
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		return Proof{}, errors.New("the user nkey seed is damaged: its checksum or its form is wrong")
	}
	defer key.Wipe()
	public, err := key.PublicKey()
	if err != nil {
		return Proof{}, err
	}
	p := Proof{NKey: public}
	if creds {
		if p.JWT, err = findJWT(text); err != nil {
			return Proof{}, err
		}
		if err := checkSubject(p.JWT, public); err != nil {
			return Proof{}, err
		}
		p.NKey = ""
	}
	sig, err := key.Sign([]byte(nonce))
	if err != nil {
		return Proof{}, err
	}
	p.Sig = base64.RawURLEncoding.EncodeToString(sig)
	return p, nil
}

// Markers of the sections of a credentials file. Tools differ in the number of
// dashes, so only the words count.
const (
	beginJWT  = "BEGIN NATS USER JWT"
	beginSeed = "BEGIN USER NKEY SEED"
)

// section is the first line with text behind the line with the marker.
func section(text []byte, marker string) []byte {
	at := bytes.Index(text, []byte(marker))
	if at < 0 {
		return nil
	}
	_, rest, _ := bytes.Cut(text[at:], []byte("\n"))
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if line[0] == '-' {
				return nil
			}
			return line
		}
	}
	return nil
}

// findSeed is the seed of a credentials file, or of a file that holds little
// more than the seed.
func findSeed(text []byte) ([]byte, error) {
	seed := section(text, beginSeed)
	if seed == nil && !bytes.Contains(text, []byte("BEGIN ")) {
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("S")) {
				seed = line
				break
			}
		}
	}
	switch {
	case seed == nil:
		return nil, fmt.Errorf("no user nkey seed found (a section %q, or a line that begins with SU)", beginSeed)
	case !bytes.HasPrefix(seed, []byte("SU")):
		return nil, errors.New("the nkey seed is not that of a user: it must begin with SU")
	}
	return seed, nil
}

func findJWT(text []byte) (string, error) {
	jwt := section(text, beginJWT)
	if jwt == nil {
		return "", fmt.Errorf("no user JWT found (a section %q)", beginJWT)
	}
	return string(jwt), nil
}

// checkSubject makes sure that JWT and seed belong together. The hub checks
// the rest of the JWT; a device's clock is not good enough for its dates.
func checkSubject(jwt, public string) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return errors.New("the user JWT is damaged: it must have three parts")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("the user JWT is damaged: its claims are not base64")
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return errors.New("the user JWT is damaged: its claims are not JSON")
	}
	if claims.Subject != public {
		return fmt.Errorf("the user JWT is for %q, the seed is that of %q", claims.Subject, public)
	}
	return nil
}
