package core

import (
	"errors"

	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/edgestore"
)

// What a Receipt may say that a protocol has a word for. Modules ask with
// errors.Is and need not know the store below.
var (
	// ErrDiskFull: the disk has no room; nothing was stored.
	ErrDiskFull = edgestore.ErrDiskFull
	// ErrBusy: more is waiting for the disk than the memory budget allows.
	ErrBusy = edgestore.ErrBusy
)

// IsRefused reports whether a stream does not want the message as it is: it is
// too large for it, or asks for what the stream does not have. Sent again, it
// would be refused again; what is refused for the state of the stream or of the
// disk may be taken later.
func IsRefused(err error) bool {
	var api *apierror.Error
	return errors.As(err, &api) && api.Code == 400
}

// IsFull reports whether there is no room for the message now: on the disk, in
// what waits for it, or within a limit of the stream, the account or the server.
func IsFull(err error) bool {
	if errors.Is(err, ErrDiskFull) || errors.Is(err, ErrBusy) {
		return true
	}
	var api *apierror.Error
	if errors.As(err, &api) {
		switch api.ErrCode {
		case 10023, 10028, 10047, 10077, 10167:
			return true
		}
	}
	return false
}
