#!/usr/bin/env bash
# bbolt 1.5.0: Put(key, nil), the way to keep a set of keys, is there for Get only after
# the commit (an empty slice that is not nil). Within the transaction Get returns nil,
# "no such key", and a cursor gives the key with a nil value, which by the documentation
# means a nested bucket. So "if Get(k) == nil { Put(k, nil); count++ }" counts the
# same key anew for each time it comes within one batch, and once in the next. With
# Put(key, []byte{}) it is right. Bucket.Stats() within a transaction does not know
# its own Puts either.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init set >/dev/null 2>&1
go get go.etcd.io/bbolt@v1.5.0 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	db, err := bbolt.Open("set.db", 0o600, nil)
	must(err)
	key := []byte("device-1")
	// add puts the key three times into a bucket, if it is not there, and tells how often it was not.
	add := func(name string, value []byte) (news, keys int) {
		must(db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(name))
			must(err)
			for range 3 {
				if b.Get(key) == nil {
					must(b.Put(key, value))
					news++
				}
			}
			keys = b.Stats().KeyN
			return nil
		}))
		return news, keys
	}
	first, keys := add("nil", nil)
	second, _ := add("nil", nil)
	empty, _ := add("empty", []byte{})
	fmt.Printf("bbolt 1.5.0: a nil value is new %d times of 3 (Stats: %d keys), after the commit %d; an empty one %d\n", first, keys, second, empty)
	must(db.Close())
	if first != 3 || second != 0 || empty != 1 || keys != 0 {
		os.Exit(1)
	}
}
GO
go run .
