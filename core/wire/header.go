package wire

import (
	"bytes"
	"strings"
)

// A header block is "NATS/1.0[ status[ description]]" CR LF, lines of
// "Name: value" CR LF, and an empty line. Publishers may send anything in its
// place and the server passes it on unchanged, so nothing here trusts it.
//
// Functions that change a block append the new one to dst, which must not
// overlap hdr, and allocate only if dst is too small.

const (
	headerLine = "NATS/1.0"
	crlf       = "\r\n"
)

// HeaderGet is the value of the first header of that name, in exactly that
// case, or nil. A header without a value gives an empty slice that is not nil.
func HeaderGet(hdr []byte, name string) []byte {
	line := nextLine(hdr)
	for line < len(hdr) {
		end, next := lineAt(hdr, line)
		if value, ok := valueOf(hdr[line:end], name); ok {
			return value
		}
		line = next
	}
	return nil
}

// TraceOnly reports whether a message is a probe that asks for its path to be
// traced and for nothing else: it is neither delivered nor stored.
func TraceOnly(hdr []byte) bool {
	if len(hdr) == 0 || !bytes.Contains(hdr, traceOnly) {
		return false
	}
	v := HeaderGet(hdr, "Nats-Trace-Only")
	return (string(v) == "1" || bytes.EqualFold(v, []byte("true")) || bytes.EqualFold(v, []byte("on"))) &&
		len(HeaderGet(hdr, "Nats-Trace-Dest")) > 0
}

var traceOnly = []byte("Nats-Trace-Only:")

// HeaderSet puts name at the end of the block with value, in place of all
// headers of that name. A nil hdr makes a new block.
func HeaderSet(dst, hdr []byte, name, value string) []byte {
	dst = appendWithout(dst, hdr, name, false)
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, crlf+crlf...)
}

// HeaderDelete removes all headers of that name. If neither a header nor a
// status is left, nothing is appended: the message has no header block.
func HeaderDelete(dst, hdr []byte, name string) []byte {
	return deleteHeaders(dst, hdr, name, false)
}

// HeaderDeletePrefix removes all headers whose name begins with prefix.
func HeaderDeletePrefix(dst, hdr []byte, prefix string) []byte {
	return deleteHeaders(dst, hdr, prefix, true)
}

func deleteHeaders(dst, hdr []byte, name string, prefix bool) []byte {
	start := len(dst)
	if len(hdr) == 0 {
		return dst
	}
	dst = appendWithout(dst, hdr, name, prefix)
	if string(dst[start:]) == headerLine+crlf {
		return dst[:start]
	}
	return append(dst, crlf...)
}

// appendWithout appends the block up to the empty line, without the headers
// called name, or beginning with it.
func appendWithout(dst, hdr []byte, name string, prefix bool) []byte {
	if len(hdr) == 0 {
		return append(dst, headerLine+crlf...)
	}
	first := true
	for line := 0; line < len(hdr); {
		end, next := lineAt(hdr, line)
		text := hdr[line:end]
		line = next
		if !first && len(text) == 0 {
			break
		}
		if !first && namedLike(text, name, prefix) {
			continue
		}
		first = false
		dst = append(dst, text...)
		dst = append(dst, crlf...)
	}
	return dst
}

func namedLike(line []byte, name string, prefix bool) bool {
	if !prefix {
		_, ok := valueOf(line, name)
		return ok
	}
	return len(line) >= len(name) && string(line[:len(name)]) == name &&
		bytes.IndexByte(line[len(name):], ':') >= 0
}

// HeaderEach calls f with each header until it returns false.
func HeaderEach(hdr []byte, f func(name, value []byte) bool) {
	line := nextLine(hdr)
	for line < len(hdr) {
		end, next := lineAt(hdr, line)
		if end == line {
			return
		}
		if colon := bytes.IndexByte(hdr[line:end], ':'); colon >= 0 {
			value, _ := trimValue(hdr[line+colon+1 : end])
			if !f(hdr[line:line+colon], value) {
				return
			}
		}
		line = next
	}
}

// AppendStatus makes a block that is only a status. text may be "".
func AppendStatus(dst []byte, code int, text string) []byte {
	return append(AppendStatusLine(dst, code, text), crlf...)
}

// AppendStatusLine begins a block with a status; AppendHeader goes on and an
// empty line ("\r\n") ends it.
func AppendStatusLine(dst []byte, code int, text string) []byte {
	dst = append(dst, headerLine+" "...)
	dst = appendInt(dst, code)
	if text != "" {
		dst = append(dst, ' ')
		dst = append(dst, text...)
	}
	return append(dst, crlf...)
}

// AppendHeader appends one line of a block.
func AppendHeader(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, crlf...)
}

// AppendNoResponders makes the block that tells a requester that nobody
// listens on subject.
func AppendNoResponders(dst, subject []byte) []byte {
	dst = append(dst, "NATS/1.0 503\r\nNats-Subject: "...)
	dst = append(dst, subject...)
	return append(dst, crlf+crlf...)
}

// HeaderStatus is the status of the block, 0 if it has none.
func HeaderStatus(hdr []byte) (code int, text []byte) {
	end, _ := lineAt(hdr, 0)
	line, ok := bytes.CutPrefix(hdr[:end], []byte(headerLine+" "))
	if !ok {
		return 0, nil
	}
	line = bytes.TrimLeft(line, " ")
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' {
		return 0, nil
	}
	code = parseSize(line[:3])
	if code < 0 {
		return 0, nil
	}
	return code, bytes.TrimSpace(line[3:])
}

// CleanHeaderText replaces what would break a header line, for values that
// come from elsewhere.
func CleanHeaderText(s string) string {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, s)
}

// lineAt is where the line that begins at from ends, and where the next begins.
func lineAt(hdr []byte, from int) (end, next int) {
	for i := from; ; {
		cr := bytes.IndexByte(hdr[i:], '\r')
		if cr < 0 {
			return len(hdr), len(hdr)
		}
		if i += cr; i+1 < len(hdr) && hdr[i+1] == '\n' {
			return i, i + 2
		}
		i++
	}
}

// nextLine is where the line behind the first begins.
func nextLine(hdr []byte) int {
	_, next := lineAt(hdr, 0)
	return next
}

func valueOf(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || string(line[:len(name)]) != name {
		return nil, false
	}
	return trimValue(line[len(name)+1:])
}

// trimValue skips the spaces in front of a value. The result is never nil.
func trimValue(v []byte) ([]byte, bool) {
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}
