package mqtt

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/jetstream/apierror"
	"github.com/frondmq/frond/mqtt/session"
)

// maxReason bounds a reason string: it may hold what the client has sent.
const maxReason = 256

// toldEnd is why a connection has ended, or is not begun, as far as that is for the
// client: not what is wrong with its rights, which it would have to guess, nor what
// goes on inside the server.
func toldEnd(code byte, err error) error {
	switch code {
	case packets.ErrUnspecifiedError.Code, packets.ErrNotAuthorized.Code, packets.ErrBadUsernameOrPassword.Code, packets.ErrServerUnavailable.Code:
		return nil
	}
	var f *failure
	if errors.As(err, &f) && f.err != nil {
		return f.err // without the code's own text
	}
	return err
}

// reasonText is what a client is told beside a code: nothing if it does not want to
// know [MQTT-3.1.2-29].
func (c *conn) reasonText(why error) string {
	if why == nil || c.version != v5 || c.codesOnly {
		return ""
	}
	text := strings.ToValidUTF8(why.Error(), "")
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > maxReason {
		text = text[:maxReason]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}

// encodeWithReason encodes a packet with a reason string, or without it if the client
// takes none so large [MQTT-3.2.2-19] [MQTT-3.9.2-1] [MQTT-3.14.2-3].
func (c *conn) encodeWithReason(pk *packets.Packet, text string, f func(*bytes.Buffer) error) ([]byte, error) {
	pk.Properties.ReasonString = text
	b, err := encode(f)
	if err == nil && text != "" && c.maxPacket > 0 && len(b) > c.maxPacket {
		pk.Properties.ReasonString = ""
		b, err = encode(f)
	}
	return b, err
}

// appendReason makes the acknowledgement in b, which ends with its code, one with a
// reason string. One that the client takes none so large has none [MQTT-3.4.2-2]
// [MQTT-3.5.2-2].
func (c *conn) appendReason(b []byte, text string) []byte {
	props := 3 + len(text)
	remaining := len(b) - 2 + lengthWidth(props) + props
	if text == "" || c.maxPacket > 0 && 1+lengthWidth(remaining)+remaining > c.maxPacket {
		return b
	}
	whole := append(make([]byte, 0, 5+remaining), b[0])
	whole = append(appendLength(whole, remaining), b[2:]...)
	whole = append(appendLength(whole, props), packets.PropReasonString)
	return appendString(whole, []byte(text))
}

var errSessionFull = errors.New("a kept session waits for as much as it may")

// toldReason is why a stream did not take a message, as far as that is for the
// publisher: what else an error says is of this server's files.
func toldReason(err error) error {
	var full *session.FullError
	var api *apierror.Error
	switch {
	case errors.As(err, &full):
		return errSessionFull // the other one names another client
	case errors.As(err, &api):
		return api
	case errors.Is(err, core.ErrDiskFull):
		return core.ErrDiskFull
	case errors.Is(err, core.ErrBusy):
		return core.ErrBusy
	}
	return nil
}

// filterRefused is why a topic filter is refused with a code.
func filterRefused(filter string, code byte) error {
	what := "is not valid"
	switch code {
	case packets.ErrNotAuthorized.Code:
		return nil
	case packets.ErrQuotaExceeded.Code:
		what = "is one too many, or too long with the others"
	}
	return errors.New("topic filter \"" + core.Cut(filter) + "\" " + what)
}
