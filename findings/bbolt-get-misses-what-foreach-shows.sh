#!/usr/bin/env bash
# bbolt 1.5.0 (Go): pages have no checksums. One flipped bit in a key of a branch
# page hides keys from Get, which answers nil without an error, while ForEach and
# cursors still show every one: whoever tests a file by walking it takes it for
# sound. A Put of such a key then stores it a second time in the same bucket. Only
# Tx.Check compares the branch with its leaves.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module run
go 1.24
MOD
cat > main.go <<'GO'
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

const (
	keys = 1000
	page = 4096
	path = "x.db"
)

func key(i int) []byte { return fmt.Appendf(nil, "key%05d", i) }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// look tells how many keys Get and ForEach find, how many errors Check tells, and
// one key that Get does not find.
func look() (got, walked, told int, missed []byte) {
	db, err := bolt.Open(path, 0o600, nil)
	check(err)
	defer db.Close()
	check(db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range keys {
			if b.Get(key(i)) != nil {
				got++
			} else {
				missed = key(i)
			}
		}
		check(b.ForEach(func(k, v []byte) error { walked++; return nil }))
		for range tx.Check() {
			told++
		}
		return nil
	}))
	return
}

// damage flips the one bit of a branch key that hides most and leaves the keys of
// the branch in order.
func damage() {
	file, err := os.ReadFile(path)
	check(err)
	number := func(k []byte) (n int) {
		if _, err := fmt.Sscanf(string(k), "key%05d", &n); err != nil {
			return -1
		}
		return n
	}
	best, at, to := 0, 0, byte(0)
	for p := 2; p < len(file)/page; p++ {
		b := file[p*page : (p+1)*page]
		if binary.NativeEndian.Uint64(b) != uint64(p) || binary.NativeEndian.Uint16(b[8:]) != 1 { // its id; a branch
			continue
		}
		place := func(i int) (from, to int) {
			e := 16 + 16*i
			from = e + int(binary.NativeEndian.Uint32(b[e:]))
			return from, from + int(binary.NativeEndian.Uint32(b[e+4:]))
		}
		for i := 1; i < int(binary.NativeEndian.Uint16(b[10:]))-1; i++ {
			from, end := place(i)
			next, nextEnd := place(i + 1)
			was := number(b[from:end])
			for c := from; c < end; c++ {
				for bit := byte(1); bit != 0; bit <<= 1 {
					changed := bytes.Clone(b[from:end])
					changed[c-from] ^= bit
					if hides := number(changed) - was; hides > best && bytes.Compare(changed, b[next:nextEnd]) < 0 {
						best, at, to = hides, p*page+c, changed[c-from]
					}
				}
			}
		}
	}
	if best == 0 {
		panic("no branch page")
	}
	file[at] = to
	check(os.WriteFile(path, file, 0o600))
}

func main() {
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: page})
	check(err)
	check(db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		check(err)
		for i := range keys {
			check(b.Put(key(i), bytes.Repeat([]byte("v"), 100)))
		}
		return nil
	}))
	check(db.Close())
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if d.Path == "go.etcd.io/bbolt" {
			fmt.Println("bbolt", d.Version)
		}
	}
	show := func(when string) (got, walked, told int, missed []byte) {
		got, walked, told, missed = look()
		fmt.Printf("%-22s of %d keys Get finds %d, ForEach shows %d; Check tells of %d error(s)\n", when, keys, got, walked, told)
		return
	}
	got, walked, told, _ := show("as written:")
	sound := got == keys && walked == keys && told == 0
	damage()
	got, walked, told, missed := show("one bit flipped:")
	hidden := got < keys && walked == keys && told > 0
	db, err = bolt.Open(path, 0o600, nil)
	check(err)
	check(db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("b")).Put(missed, []byte("new")) }))
	check(db.Close())
	_, walked, _, _ = show(fmt.Sprintf("after Put(%s):", missed))
	if !sound || !hidden || walked != keys+1 {
		os.Exit(1)
	}
}
GO
go get go.etcd.io/bbolt@v1.5.0 >/dev/null 2>&1
go build -o run . && ./run
