package core

import "github.com/frondmq/frond/edgestore"

// What a Receipt may say that a protocol has a word for. Modules ask with
// errors.Is and need not know the store below.
var (
	// ErrDiskFull: the disk has no room; nothing was stored.
	ErrDiskFull = edgestore.ErrDiskFull
	// ErrBusy: more is waiting for the disk than the memory budget allows.
	ErrBusy = edgestore.ErrBusy
)
