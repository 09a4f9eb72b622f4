package mqtt

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What is text in MQTT may be no header: a name with blanks, a value with a line break,
// with blanks around it, or without anything in it, for which nats.c takes the line
// behind. Such a property has a header of ours with the same in it, escaped as in a URL.

const (
	// headerUser is a user property, as NAME=VALUE.
	headerUser = "Nmqtt-User-Property"
	// headerContentTypeEscaped is a content type behind a '=', so that it is never empty.
	headerContentTypeEscaped = headerContentType + "-Escaped"
	// noData is correlation data of no bytes, which in base64 is nothing.
	noData = "="
)

// escapedRoom is by how many bytes escaping may make the headers of a message longer:
// CONNACK has promised a size that is taken (announcedSize).
func escapedRoom(maxPayload int) int { return min(1024, maxPayload/16) }

// headerName refuses names that a header can't have, and those of the server's
// own.
func headerName(b []byte) bool {
	if len(b) == 0 || bytes.HasPrefix(b, []byte(headerPrefix)) {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == ':' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// headerValue refuses what a header block cannot carry unchanged.
func headerValue(b []byte) bool {
	return len(b) > 0 && !blank(b[0]) && !blank(b[len(b)-1]) &&
		utf8.Valid(b) && bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, 0) < 0
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// escaped appends a header of ours with a name and a value, or loses both if that has
// become too long. plain is how long it is in MQTT.
func (t *translation) escaped(header string, name, value []byte, plain int) {
	begin := len(t.dst)
	t.dst = append(append(t.dst, header...), ": "...)
	t.dst = append(appendEscaped(t.dst, name), '=')
	t.dst = append(appendEscaped(t.dst, value), '\r', '\n')
	if t.longer += max(len(t.dst)-begin-plain, 0); t.longer > t.room {
		t.dst = t.dst[:begin]
		if len(name) == 0 {
			name = value
		}
		t.lose(name)
	}
}

func appendEscaped(dst, b []byte) []byte {
	for i, c := range b {
		if c < ' ' || c == 0x7f || c == '%' || c == '=' || c == ' ' && (i == 0 || i == len(b)-1) {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendUnescaped is the way back. It reports false for what is no text.
func appendUnescaped(dst, b []byte) ([]byte, bool) {
	begin := len(dst)
	for ; len(b) > 0; b = b[1:] {
		c := b[0]
		if c == '%' {
			if len(b) < 3 {
				return dst, false
			}
			high, low := bytes.IndexByte([]byte(hexDigits), b[1]), bytes.IndexByte([]byte(hexDigits), b[2])
			if high < 0 || low < 0 {
				return dst, false
			}
			c, b = byte(high<<4|low), b[2:]
		}
		dst = append(dst, c)
	}
	return dst, validText(dst[begin:])
}

// appendUnescapedString is the same, as a string of MQTT.
func appendUnescapedString(dst, b []byte) ([]byte, bool) {
	begin := len(dst)
	dst, ok := appendUnescaped(append(dst, 0, 0), b)
	binary.BigEndian.PutUint16(dst[begin:], uint16(len(dst)-begin-2))
	return dst, ok
}

// appendUser appends the user property that a header of ours stands for.
func appendUser(dst, value []byte) []byte {
	name, value, ok := bytes.Cut(value, []byte("="))
	if !ok {
		return dst
	}
	all, ok := appendUnescapedString(append(dst, packets.PropUser), name)
	if ok {
		all, ok = appendUnescapedString(all, value)
	}
	if !ok {
		return dst
	}
	return all
}

// appendContentType appends the content type of headerContentTypeEscaped.
func appendContentType(dst, value []byte) []byte {
	value, ok := bytes.CutPrefix(value, []byte("="))
	if !ok {
		return dst
	}
	if all, ok := appendUnescapedString(append(dst, packets.PropContentType), value); ok {
		return all
	}
	return dst
}
