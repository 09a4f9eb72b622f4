package auth

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

func mustUserKey(t *testing.T) (public, seed string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	s, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err = key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, string(s)
}

// jwtFor is a JWT in form only; who checks signatures is the hub.
func jwtFor(subject string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." +
		b64(fmt.Appendf(nil, `{"sub":%q,"nats":{"type":"user"}}`, subject)) + "." + b64([]byte("signature"))
}

func credsText(jwt, seed string) string {
	return "-----BEGIN NATS USER JWT-----\n" + jwt + "\n------END NATS USER JWT------\n\n" +
		"************************* IMPORTANT *************************\n" +
		"NKEY Seed printed below can be used to sign and prove identity.\n" +
		"NKEYs are sensitive and should be treated as secrets.\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + seed + "\n------END USER NKEY SEED------\n\n" +
		"*************************************************************\n"
}

func mustWrite(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSigner_credentials(t *testing.T) {
	public, seed := mustUserKey(t)
	want := jwtFor(public)
	for name, text := range map[string]string{
		"as the tools write it": credsText(want, seed),
		"with CR LF":            strings.ReplaceAll(credsText(want, seed), "\n", "\r\n"),
		"without end markers":   "---BEGIN NATS USER JWT---\n" + want + "\n---BEGIN USER NKEY SEED---\n" + seed,
	} {
		t.Run(name, func(t *testing.T) {
			path := mustWrite(t, filepath.Join(t.TempDir(), "edge.creds"), text)
			p, err := NewCredsSigner(path).Sign("p_ea6zRKNZbUjXg")
			if err != nil {
				t.Fatal(err)
			}
			if p.JWT != want || p.NKey != "" {
				t.Errorf("got %+v, want the JWT %q", p, want)
			}
			if err := verifyNonce(public, "p_ea6zRKNZbUjXg", p.Sig); err != nil {
				t.Error(err)
			}
			if verifyNonce(public, "p_ea6zRKNZbUjXh", p.Sig) == nil {
				t.Error("the signature fits another nonce too")
			}
		})
	}
}

func TestSigner_readsTheFileAgain(t *testing.T) {
	public, seed := mustUserKey(t)
	path := mustWrite(t, filepath.Join(t.TempDir(), "edge.creds"), credsText(jwtFor(public), seed))
	signer := NewCredsSigner(path)
	if _, err := signer.Sign("n"); err != nil {
		t.Fatal(err)
	}
	public, seed = mustUserKey(t)
	mustWrite(t, path, credsText(jwtFor(public), seed))
	p, err := signer.Sign("n")
	if err != nil || p.JWT != jwtFor(public) || p.NKey != "" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestSigner_saysWhatIsWrong(t *testing.T) {
	public, seed := mustUserKey(t)
	other, _ := mustUserKey(t)
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "no user nkey seed"},
		{"no seed", "-----BEGIN NATS USER JWT-----\n" + jwtFor(public) + "\n", "no user nkey seed"},
		{"empty seed section", credsText(jwtFor(public), ""), "no user nkey seed"},
		{"no JWT", "-----BEGIN USER NKEY SEED-----\n" + seed + "\n", "no user JWT"},
		{"only a seed", seed, "no user JWT"},
		{"damaged seed", credsText(jwtFor(public), seed[:len(seed)-2]+"AA"), "seed is damaged"},
		{"account seed", credsText(jwtFor(public), string(accountSeed)), "must begin with SU"},
		{"somebody else's seed", credsText(jwtFor(other), seed), "the seed is that of"},
		{"two parts", credsText("a.b", seed), "three parts"},
		{"not base64", credsText("a.!.b", seed), "not base64"},
		{"not JSON", credsText("a.YQ.b", seed), "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := mustWrite(t, filepath.Join(t.TempDir(), "edge.creds"), test.text)
			_, err := NewCredsSigner(path).Sign("n")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), seed) {
				t.Error("the error tells the seed")
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.creds")
		if _, err := NewCredsSigner(path).Sign("n"); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		if _, err := NewCredsSigner(t.TempDir()).Sign("n"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	})
}

func TestSigner_seedOrFile(t *testing.T) {
	public, seed := mustUserKey(t)
	dir := t.TempDir()
	for name, source := range map[string]string{
		"the seed itself":  seed,
		"a file with it":   mustWrite(t, filepath.Join(dir, "a.nk"), seed+"\n"),
		"with a comment":   mustWrite(t, filepath.Join(dir, "b.nk"), "# edge 1\n"+seed+"\n"),
		"a decorated file": mustWrite(t, filepath.Join(dir, "c.nk"), "-----BEGIN USER NKEY SEED-----\n"+seed+"\n------END USER NKEY SEED------\n"),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewSeedSigner(source).Sign("nonce")
			if err != nil {
				t.Fatal(err)
			}
			if p.NKey != public || p.JWT != "" {
				t.Errorf("got %+v, want the key %s", p, public)
			}
			if err := verifyNonce(public, "nonce", p.Sig); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a damaged seed is not shown", func(t *testing.T) {
		// Not at the end, whose last character is bits of nothing.
		other := "A"
		if seed[20] == 'A' {
			other = "B"
		}
		bad := seed[:20] + other + seed[21:]
		if _, err := NewSeedSigner(bad).Sign("n"); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzProve(f *testing.F) {
	f.Add([]byte(credsText("a.b.c", "SUABC")))
	f.Add([]byte("SU"))
	f.Fuzz(func(t *testing.T, text []byte) {
		// Must not panic; a random text is never a proof.
		if _, err := prove(text, true, "nonce"); err == nil {
			t.Error("a proof from nothing")
		}
	})
}
