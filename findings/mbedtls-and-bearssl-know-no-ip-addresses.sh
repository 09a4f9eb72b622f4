#!/usr/bin/env bash
# mbedTLS 2.28.3 and BearSSL 0.6 (Debian 12), TLS of small devices: both look for the name they
# expect among a certificate's dNSNames only. A broker that devices reach by its address, with a
# certificate for that address as RFC 5280 (4.2.1.6) has it, iPAddress, is refused by them and accepted by
# Go, and one with the address as text in a dNSName the other way round. A certificate that
# serves both kinds has it in both places.
# Needs apt (Debian 12), gcc and go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq libmbedtls-dev=2.28.3-1 libbearssl-dev=0.6+dfsg.1-3 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
go mod init names >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	must(err)
	must(os.WriteFile("ca.der", der, 0o644))
	ca, err = x509.ParseCertificate(der)
	must(err)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	address := []net.IP{net.IPv4(192, 0, 2, 7)}
	for name, leaf := range map[string]*x509.Certificate{"ip": {IPAddresses: address}, "dns": {DNSNames: []string{"192.0.2.7"}}, "both": {IPAddresses: address, DNSNames: []string{"192.0.2.7"}}} {
		leaf.SerialNumber, leaf.Subject, leaf.NotBefore, leaf.NotAfter = big.NewInt(2), pkix.Name{CommonName: "broker"}, ca.NotBefore, ca.NotAfter
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
		must(err)
		must(os.WriteFile(name+".der", der, 0o644))
		cert, err := x509.ParseCertificate(der)
		must(err)
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "192.0.2.7"})
		fmt.Printf("address in %s: Go %v\n", name, err == nil)
	}
}
GO
cat > main.c <<'C'
#include <stdio.h>
#include <string.h>
#include <bearssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

static size_t load(const char *name, unsigned char *to) {
  FILE *f = fopen(name, "rb");
  size_t n = fread(to, 1, 4096, f);
  fclose(f);
  return n;
}

static void append(void *to, const void *from, size_t n) {
  unsigned char **end = to;
  memcpy(*end, from, n);
  *end += n;
}

int main(void) {
  unsigned char ca[4096], leaf[4096], subject[1024], *end = subject;
  size_t ca_size = load("ca.der", ca);
  br_x509_decoder_context decoder;
  br_x509_decoder_init(&decoder, append, &end);
  br_x509_decoder_push(&decoder, ca, ca_size);
  br_x509_trust_anchor anchor = {{subject, end - subject}, BR_X509_TA_CA, *br_x509_decoder_get_pkey(&decoder)};
  mbedtls_x509_crt roots;
  mbedtls_x509_crt_init(&roots);
  mbedtls_x509_crt_parse_der(&roots, ca, ca_size);
  const char *names[] = {"both", "dns", "ip"};
  for (int i = 0; i < 3; i++) {
    char file[16];
    sprintf(file, "%s.der", names[i]);
    size_t size = load(file, leaf);
    mbedtls_x509_crt cert;
    mbedtls_x509_crt_init(&cert);
    mbedtls_x509_crt_parse_der(&cert, leaf, size);
    uint32_t flags = 0;
    mbedtls_x509_crt_verify(&cert, &roots, NULL, "192.0.2.7", &flags, NULL, NULL);
    br_x509_minimal_context bear;
    br_x509_minimal_init_full(&bear, &anchor, 1);
    bear.vtable->start_chain(&bear.vtable, "192.0.2.7");
    bear.vtable->start_cert(&bear.vtable, size);
    bear.vtable->append(&bear.vtable, leaf, size);
    bear.vtable->end_cert(&bear.vtable);
    unsigned err = bear.vtable->end_chain(&bear.vtable);
    printf("address in %s: mbedTLS " MBEDTLS_VERSION_STRING " %s, BearSSL %s\n", names[i],
           flags == 0 ? "accepts" : flags == MBEDTLS_X509_BADCERT_CN_MISMATCH ? "misses the name" : "other",
           err == 0 ? "accepts" : err == BR_ERR_X509_BAD_SERVER_NAME ? "misses the name" : "other");
  }
}
C
lib=$(echo root/usr/lib/*-linux-gnu)
cc -I root/usr/include main.c -o check "$lib"/libmbedx509.a "$lib"/libmbedcrypto.a "$lib"/libbearssl.a
{ go run main.go | sort; ./check; } | tee said
cat >want <<'WANT'
address in both: Go true
address in dns: Go false
address in ip: Go true
address in both: mbedTLS 2.28.3 accepts, BearSSL accepts
address in dns: mbedTLS 2.28.3 accepts, BearSSL accepts
address in ip: mbedTLS 2.28.3 misses the name, BearSSL misses the name
WANT
cmp said want
