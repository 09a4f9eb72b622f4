package mqtt

import (
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Protocol levels of CONNECT.
const (
	v311 = 4
	v5   = 5
)

// failure ends a connection: an MQTT 5 client is told the code in a
// DISCONNECT (or CONNACK), an older one sees the connection closed.
type failure struct {
	code packets.Code
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return f.code.Reason
	}
	return f.code.Reason + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func fail(code packets.Code, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// Reasons without a text in the codec's table, or with a more precise one.
var (
	errMalformed = packets.ErrMalformedPacket
	errProtocol  = packets.ErrProtocolViolation
)
