package consumer

import "strconv"

const crlf = "\r\n"

// appendHeaderLine begins a header block with a status.
func appendHeaderLine(dst []byte, status string) []byte {
	dst = append(dst, "NATS/1.0 "...)
	dst = append(dst, status...)
	return append(dst, crlf...)
}

func appendNumber(dst []byte, name string, n uint64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendUint(dst, n, 10)
	return append(dst, crlf...)
}

// plain appends a status without headers.
func (fx *Effects) plain(to []byte, status string) {
	fx.status(to, func(dst []byte) []byte {
		return append(appendHeaderLine(dst, status), crlf...)
	})
}

// unfinished appends a status that tells what a request did not get.
func (fx *Effects) unfinished(to []byte, status string, msgs, bytes int) {
	fx.status(to, func(dst []byte) []byte {
		dst = appendHeaderLine(dst, status)
		dst = appendNumber(dst, "Nats-Pending-Messages", uint64(max(msgs, 0)))
		dst = appendNumber(dst, "Nats-Pending-Bytes", uint64(max(bytes, 0)))
		return append(dst, crlf...)
	})
}

// heartbeat appends an idle heartbeat; stalled is the subject of the flow
// control request that waits for its answer, or nil.
func (fx *Effects) heartbeat(to []byte, at SeqPair, stalled []byte) {
	fx.status(to, func(dst []byte) []byte {
		dst = appendHeaderLine(dst, "100 Idle Heartbeat")
		dst = appendNumber(dst, "Nats-Last-Consumer", at.Consumer)
		dst = appendNumber(dst, "Nats-Last-Stream", at.Stream)
		if stalled != nil {
			dst = append(dst, "Nats-Consumer-Stalled: "...)
			dst = append(dst, stalled...)
			dst = append(dst, crlf...)
		}
		return append(dst, crlf...)
	})
}

// headerNumber finds a number in a header block: its first occurrence, with
// the exact case, behind a CR LF.
func headerNumber(hdr []byte, name string) (uint64, bool) {
	for i := 0; i+len(name)+3 < len(hdr); i++ {
		if hdr[i] != '\n' || !hasPrefix(hdr[i+1:], name) || hdr[i+1+len(name)] != ':' {
			continue
		}
		v := hdr[i+2+len(name):]
		for n, c := range v {
			if c == '\r' {
				v = trimSpace(v[:n])
				return parseUint(v), len(v) > 0
			}
		}
		return 0, false
	}
	return 0, false
}
