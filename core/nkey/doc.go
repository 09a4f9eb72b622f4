// Package nkey reads and writes nkeys: Ed25519 keys as text that says what
// kind of peer they belong to and notices a typing error.
//
// What for: users that prove themselves by a signature, the seeds that links
// sign with, the names of a server. What not: no JWT, no files, no encryption.
// Where to start: text.go. All functions may be called concurrently.
//
// The form, as the NATS documentation of nkeys gives it: base32 without
// padding of one byte for the kind, the key of 32 bytes, and a CRC-16 (XMODEM)
// of both, low byte first. In a seed, two bytes stand in front: five bits that
// make the text begin with S, then the eight of the kind.
package nkey
