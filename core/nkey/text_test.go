package nkey

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

// The reference library makes the keys and judges ours.

func TestUser_isThatOfTheReference(t *testing.T) {
	for range 50 {
		key, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, _ := key.PublicKey()
		seed, _ := key.Seed()
		mine, err := ParseUserSeed(seed)
		if err != nil {
			t.Fatalf("seed of %s: %v", public, err)
		}
		if got := Public(mine); got != public {
			t.Fatalf("public key of a seed: %s, want %s", got, public)
		}
		if err := key.Verify([]byte("nonce"), ed25519.Sign(mine, []byte("nonce"))); err != nil {
			t.Fatalf("our signature: %v", err)
		}
		sig, _ := key.Sign([]byte("nonce"))
		read, err := ParseUser(public)
		if err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(read, []byte("nonce"), sig) {
			t.Fatal("the signature of the reference does not fit the key that was read")
		}
	}
}

func TestServerNames_areValidToTheReference(t *testing.T) {
	n, err := NewServer()
	if err != nil || !nkeys.IsValidPublicServerKey(n) || len(n) != 56 {
		t.Fatalf("server %q, %v", n, err)
	}
	x, err := NewCurve()
	if err != nil || !nkeys.IsValidPublicCurveKey(x) || len(x) != 56 {
		t.Fatalf("curve %q, %v", x, err)
	}
	if again, _ := NewServer(); again == n {
		t.Fatal("two servers have one name")
	}
}

// TestUser_refusesWhatTheReferenceRefuses changes each character of a key and
// of a seed; nothing that the reference takes for damaged may pass, and what
// passes must mean the same.
func TestUser_refusesWhatTheReferenceRefuses(t *testing.T) {
	key, _ := nkeys.CreateUser()
	public, _ := key.PublicKey()
	seed, _ := key.Seed()
	for i := range public {
		for _, c := range "A2Zz1 =\n" {
			text := public[:i] + string(c) + public[i+1:]
			if got, want := IsUser(text), nkeys.IsValidPublicUserKey(text); got != want {
				t.Errorf("%q: %v, the reference says %v", text, got, want)
			}
		}
	}
	for i := range seed {
		for _, c := range "A2Zz1 =\n" {
			text := bytes.Clone(seed)
			text[i] = byte(c)
			mine, err := ParseUserSeed(text)
			ref, rerr := nkeys.FromSeed(text)
			if rerr != nil && err == nil {
				t.Errorf("character %d as %q: taken, the reference says %v", i, c, rerr)
			}
			if rerr == nil && err != nil {
				t.Errorf("character %d as %q: %v, the reference takes it", i, c, err)
			}
			if err == nil && rerr == nil {
				if want, _ := ref.PublicKey(); Public(mine) != want {
					t.Errorf("character %d as %q: another key than that of the reference", i, c)
				}
			}
		}
	}
}

func TestUser_takesNoOtherKind(t *testing.T) {
	for _, make := range []func() (nkeys.KeyPair, error){
		nkeys.CreateAccount, nkeys.CreateServer, nkeys.CreateOperator, nkeys.CreateCluster, nkeys.CreateCurveKeys,
	} {
		key, err := make()
		if err != nil {
			t.Fatal(err)
		}
		public, _ := key.PublicKey()
		seed, _ := key.Seed()
		if IsUser(public) {
			t.Errorf("%s is taken for a user", public)
		}
		if _, err := ParseUserSeed(seed); err == nil {
			t.Errorf("the seed of %s is taken for a user's", public)
		}
		// One half in place of the other.
		if IsUser(string(seed)) {
			t.Errorf("the seed of %s is taken for a public key", public)
		}
	}
	for _, text := range []string{"", "U", "SU", strings.Repeat("U", 55), strings.Repeat("U", 57), strings.Repeat("ä", 28)} {
		if IsUser(text) {
			t.Errorf("%q is taken for a user", text)
		}
		if _, err := ParseUserSeed([]byte(text)); err == nil {
			t.Errorf("%q is taken for a seed", text)
		}
	}
}
