package mosquitto

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frondmq/frond/core/config"
)

var rewrite = flag.Bool("rewrite", false, "write the expected files of testdata anew")

// Each folder of testdata is a mosquitto: what is made of it, and what is told, stand
// in want.conf and want.notes. Commit a change of these only if you can explain it.
func TestConvert(t *testing.T) {
	cert, key := certificate(t)
	dirs, err := filepath.Glob("testdata/*/mosquitto.conf")
	if err != nil || len(dirs) == 0 {
		t.Fatal(err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			conf, notes := Convert(Input{Conf: File{"mosquitto.conf", string(text)}, Open: func(name string) (string, error) {
				b, err := os.ReadFile(filepath.Join(dir, filepath.Base(name)))
				if err != nil {
					err = errors.New("no such file")
				}
				return string(b), err
			}})
			var told strings.Builder
			for _, n := range notes {
				fmt.Fprintln(&told, n)
			}
			if strings.Contains(told.String(), "hunter2") || strings.Contains(told.String(), "$7$1") {
				t.Errorf("a secret is told: %s", &told)
			}
			compare(t, filepath.Join(dir, "want.conf"), conf)
			compare(t, filepath.Join(dir, "want.notes"), told.String())
			conf = strings.NewReplacer("/etc/ca.pem", cert, "/etc/c.pem", cert, "/etc/k.pem", key).Replace(conf)
			o, warns, err := config.Parse("made.conf", []byte(conf), config.Source{ReadFile: os.ReadFile})
			if err == nil {
				err = o.Validate()
			}
			if err != nil || len(warns) > 0 {
				t.Errorf("frond does not take it: %v, %v", err, warns)
			}
		})
	}
}

// certificate writes one that signs itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s: %v\nwant %s\ngot %s", file, err, want, got)
	}
}

func TestReadRetained(t *testing.T) {
	db, err := os.ReadFile("testdata/gateway/mosquitto.db")
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadRetained(db)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if m := all[0]; m.Topic != "plant/line 1" || string(m.Payload) != "hello" || m.QoS != 1 || !m.Expires.IsZero() {
		t.Errorf("%+v", m)
	}
	if m := all[1]; m.Topic != "five" || string(m.Payload) != "x" || m.QoS != 0 || m.Expires.Unix() != 0x6b0ace74 {
		t.Errorf("%+v", m)
	}
	for n := range db { // nothing of it ends more than the import
		_, _ = ReadRetained(db[:n])
		bad := bytes.Clone(db)
		bad[n] ^= 0xff
		_, _ = ReadRetained(bad)
	}
	if _, err := ReadRetained(db[:len(db)-3]); err == nil || !strings.Contains(err.Error(), "cut off at byte 377") {
		t.Errorf("cut off: %v", err)
	}
	bad := bytes.Clone(db)
	bad[22] = 5
	if _, err := ReadRetained(bad); err == nil || !strings.Contains(err.Error(), "a database of version 5") {
		t.Errorf("version 5: %v", err)
	}
}

func TestSend(t *testing.T) {
	now := time.Unix(1000, 0)
	all := []Retained{
		{Topic: "a", Payload: []byte("1")}, {Topic: "gone", Expires: now}, {Topic: "b", Payload: []byte("2"), Expires: now.Add(9 * time.Second)},
	}
	for _, c := range []struct {
		answers string
		sent    int
		err     string
	}{
		{"\x20\x03\x00\x00\x00\x40\x02\x00\x01\x40\x02\x00\x02", 2, ""},
		{"\x20\x03\x00\x87\x00", 0, "CONNACK 0087"},
		{"\x20\x03\x00\x00\x00\x40\x02\x00\x01\x40\x03\x00\x02\x87", 1, `refuses "b": PUBACK 0x87`},
		{"\x20\x03\x00\x00\x00\x40\x02\x00\x01", 1, `the PUBACK of "b"`},
		{"\x30\x03\x00\x00\x00", 0, "packet type 3"},
		{"\x20\xff\xff\xff\xff", 0, "no MQTT"},
	} {
		nc := &scripted{Reader: strings.NewReader(c.answers)}
		n, err := Send(nc, "u", "p", all, now, 10*time.Second)
		if n != c.sent || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %d, %v", c.answers, n, err)
		}
		want := "\x10\x1f\x00\x04MQTT\x05\xc2\x00\x00\x00\x00\x0cfrond-import\x00\x01u\x00\x01p" +
			"\x33\x07\x00\x01a\x00\x01\x001" + "\x33\x0c\x00\x01b\x00\x02\x05\x02\x00\x00\x00\x0a2" + "\xe0\x00"
		if c.err == "" && nc.String() != want {
			t.Errorf("sent %q\nwant %q", nc.String(), want)
		}
	}
}

// scripted is a connection with a broker that has said all it will say.
type scripted struct {
	net.Conn
	*strings.Reader
	bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return s.Buffer.Write(p) }
func (s *scripted) String() string              { return s.Buffer.String() }
func (s *scripted) SetDeadline(time.Time) error { return nil }
