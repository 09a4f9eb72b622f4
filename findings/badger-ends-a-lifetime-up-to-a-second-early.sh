#!/usr/bin/env bash
# badger 4.9.6: WithTTL takes a time.Duration and keeps the end of the entry in whole seconds, cut
# down. A lifetime is up to a second short: one of a second, written late in a second, ends after a
# tenth of it, and less than a second may be none at all: the entry is gone before the next
# line reads it, and no error tells. A program that keeps "seen just now, don't publish
# again" or a lock that way holds it by the luck of the clock. Ask for a second more.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init lifetime >/dev/null 2>&1
go get github.com/dgraph-io/badger/v4@v4.9.6 >/dev/null 2>&1
cat > main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// left says whether an entry that lives for ttl, written at a point of a second, is there after a time.
func left(db *badger.DB, at, ttl, after time.Duration) bool {
	begin := time.Now().Truncate(time.Second).Add(time.Second + at)
	time.Sleep(time.Until(begin))
	must(db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry([]byte("seen"), []byte("x")).WithTTL(ttl))
	}))
	time.Sleep(after)
	err := db.View(func(txn *badger.Txn) error {
		_, err := txn.Get([]byte("seen"))
		return err
	})
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		panic(err)
	}
	return err == nil
}

func main() {
	db, err := badger.Open(badger.DefaultOptions("").WithInMemory(true).WithLogger(nil))
	must(err)
	defer db.Close()
	short := left(db, 50*time.Millisecond, 500*time.Millisecond, 0)
	late := left(db, 800*time.Millisecond, time.Second, 500*time.Millisecond)
	two := left(db, 50*time.Millisecond, 2*time.Second, time.Second)
	fmt.Printf("badger 4.9.6: 500 ms are there at once %t; 1 s, written at .8, is there after 500 ms %t; 2 s, written at .05, after 1 s %t\n", short, late, two)
	if short || late || !two {
		os.Exit(1)
	}
}
GO
go mod tidy >/dev/null 2>&1
timeout 100 go run .
