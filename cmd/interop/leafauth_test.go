package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// TestLeafAuth links an edge to a hub that wants to know who it is.
func TestLeafAuth(t *testing.T) {
	t.Run("user and password", func(t *testing.T) {
		eachKinds(t, func(t *testing.T, edge, hub peers.Kind) {
			h := start(t, hub, peers.Config{Name: "hub", Leaf: true,
				Extra: "authorization { users: [ { user: up, password: secret }, { user: app, password: app } ] }\n"})
			e := start(t, edge, peers.Config{Name: "edge", Remotes: []string{"nats-leaf://up:secret@" + h.LeafAddr()}})
			meets(t, connect(t, e), connect(t, h, nats.UserInfo("app", "app")))
			// A wrong password gets no link, and the hub lives.
			w := start(t, edge, peers.Config{Name: "wrong", Remotes: []string{"nats-leaf://up:wrong@" + h.LeafAddr()}})
			eventually(t, step, func() error {
				if !strings.Contains(w.Log(), "uthorization") {
					return fmt.Errorf("no word of it in the log of the edge:\n%s", tail(w.Log(), 5))
				}
				return nil
			})
			meets(t, connect(t, e), connect(t, h, nats.UserInfo("app", "app")))
		})
	})
	t.Run("TLS", func(t *testing.T) {
		eachKinds(t, func(t *testing.T, edge, hub peers.Kind) {
			ca, cert, key := certificates(t)
			h := start(t, hub, peers.Config{Name: "hub", Extra: fmt.Sprintf(
				"leafnodes { listen: \"127.0.0.1:-1\", no_advertise: true, tls { cert_file: %q, key_file: %q, timeout: 10 } }\n", cert, key), LeafExtra: true})
			e := start(t, edge, peers.Config{Name: "edge", Extra: fmt.Sprintf(
				"leafnodes { reconnect: 1, remotes: [ { url: \"tls://%s\", tls { ca_file: %q } } ] }\n", h.LeafAddr(), ca)})
			meets(t, connect(t, e), connect(t, h))
		})
	})
	// The hub is in operator mode, which frond is not yet: a stock hub only.
	t.Run("credentials signed with an nkey", func(t *testing.T) {
		eachServer(t, func(t *testing.T, edge peers.Kind) {
			config, creds := operator(t)
			h := start(t, peers.StockKind, peers.Config{Name: "hub", Leaf: true, Extra: config})
			e := start(t, edge, peers.Config{Name: "edge", Extra: fmt.Sprintf(
				"leafnodes { reconnect: 1, remotes: [ { url: \"nats-leaf://%s\", credentials: %q } ] }\n", h.LeafAddr(), creds)})
			meets(t, connect(t, e), connect(t, h, nats.UserCredentials(creds)))
		})
	})
}

// eachKinds is eachPair without starting anything.
func eachKinds(t *testing.T, f func(t *testing.T, edge, hub peers.Kind)) {
	t.Helper()
	t.Parallel()
	for _, k := range kindPairs() {
		t.Run(fmt.Sprintf("%s edge, %s hub", k.edge, k.hub), func(t *testing.T) {
			t.Parallel()
			f(t, k.edge, k.hub)
		})
	}
}

// meets waits until a request of a is answered by b.
func meets(t *testing.T, a, b *nats.Conn) {
	t.Helper()
	sub := must[*nats.Subscription](t)(b.Subscribe("meet", func(m *nats.Msg) { _ = m.Respond(nil) }))
	ok(t, b.Flush())
	eventually(t, step, func() error {
		_, err := a.Request("meet", nil, time.Second)
		return err
	})
	ok(t, sub.Unsubscribe())
}

// certificates makes an authority and a certificate for 127.0.0.1.
func certificates(t *testing.T) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	caKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER := must[[]byte](t)(x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey))
	leafKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "hub"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER := must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, caKey))
	keyDER := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(leafKey))
	return write("ca.pem", "CERTIFICATE", rootDER), write("cert.pem", "CERTIFICATE", leafDER), write("key.pem", "PRIVATE KEY", keyDER)
}

// operator makes an operator with one account and one user: the part of the
// hub's configuration, and the credentials file.
func operator(t *testing.T) (config, creds string) {
	t.Helper()
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		kp := must[nkeys.KeyPair](t)(create())
		return kp, must[string](t)(kp.PublicKey())
	}
	op, opPub := pair(nkeys.CreateOperator)
	acc, accPub := pair(nkeys.CreateAccount)
	user, userPub := pair(nkeys.CreateUser)
	opJWT := must[string](t)(jwt.NewOperatorClaims(opPub).Encode(op))
	ac := jwt.NewAccountClaims(accPub)
	ac.Name = "A"
	accJWT := must[string](t)(ac.Encode(op))
	userJWT := must[string](t)(jwt.NewUserClaims(userPub).Encode(acc))
	file := filepath.Join(t.TempDir(), "user.creds")
	text := must[[]byte](t)(jwt.FormatUserConfig(userJWT, must[[]byte](t)(user.Seed())))
	ok(t, os.WriteFile(file, text, 0o600))
	return fmt.Sprintf("operator: %q\nresolver: MEMORY\nresolver_preload: { %s: %q }\n", opJWT, accPub, accJWT), file
}
