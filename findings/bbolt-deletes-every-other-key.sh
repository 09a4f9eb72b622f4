#!/usr/bin/env bash
# bbolt 1.5.0: a loop of a cursor that deletes what it passes empties a bucket,
# unless the same transaction has put a key into that page before: then every
# other key stays, and no call returns an error. Pages that were not touched are
# walked in the file, where deletions don't show; a touched one is a list in memory
# that closes up under the cursor. So "append one, then drop the oldest" keeps half of
# the old ones, while the purge that is tested by itself is right. Delete of the
# cursor, of the bucket, and of the bucket within ForEach do the same.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init purge >/dev/null 2>&1
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

const queued = 50

// left purges a queue of 50 messages and tells how many of them stay.
func left(db *bbolt.DB, append bool, purge func(b *bbolt.Bucket) error) int {
	name := []byte("queue")
	must(db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(name)
		must(err)
		for i := range queued {
			must(b.Put(fmt.Appendf(nil, "%04d", i), []byte("message")))
		}
		return nil
	}))
	must(db.Update(func(tx *bbolt.Tx) error {
		if append {
			must(tx.Bucket(name).Put([]byte("9999"), []byte("newest")))
		}
		return purge(tx.Bucket(name))
	}))
	n := 0
	must(db.Update(func(tx *bbolt.Tx) error {
		must(tx.Bucket(name).ForEach(func(k, _ []byte) error {
			if string(k) != "9999" {
				n++
			}
			return nil
		}))
		return tx.DeleteBucket(name)
	}))
	return n
}

func main() {
	db, err := bbolt.Open("queue.db", 0o600, nil)
	must(err)
	ways := []struct {
		name  string
		purge func(b *bbolt.Bucket) error
	}{
		{"Cursor.Delete", func(b *bbolt.Bucket) error {
			c := b.Cursor()
			for k, _ := c.First(); k != nil && string(k) != "9999"; k, _ = c.Next() {
				must(c.Delete())
			}
			return nil
		}},
		{"Bucket.Delete", func(b *bbolt.Bucket) error {
			c := b.Cursor()
			for k, _ := c.First(); k != nil && string(k) != "9999"; k, _ = c.Next() {
				must(b.Delete(k))
			}
			return nil
		}},
		{"ForEach", func(b *bbolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				if string(k) == "9999" {
					return nil
				}
				return b.Delete(k)
			})
		}},
	}
	ok := true
	for _, w := range ways {
		alone, after := left(db, false, w.purge), left(db, true, w.purge)
		fmt.Printf("bbolt 1.5.0, %s: of %d keys %d stay, after a Put in the same transaction %d\n", w.name, queued, alone, after)
		ok = ok && alone == 0 && after == queued/2
	}
	must(db.Close())
	if !ok {
		os.Exit(1)
	}
}
GO
go run .
