package wire

import (
	"bytes"
	"strconv"
)

// Complete operations without arguments.
const (
	PingLine = "PING\r\n"
	PongLine = "PONG\r\n"
	OKLine   = "+OK\r\n"
)

// AppendMsg encodes a delivery to a client: MSG, or HMSG if the message has a
// header block and headers says that the client understands them.
func AppendMsg[S ~string | ~[]byte](dst []byte, m *Msg, sid S, headers bool) []byte {
	dst = AppendMsgLine(dst, m, sid, headers)
	if headers {
		dst = append(dst, m.Header...)
	}
	dst = append(dst, m.Body...)
	return append(dst, '\r', '\n')
}

// AppendMsgLine is the first line of AppendMsg. Behind it come the header if it
// is wanted, the body and a line end.
func AppendMsgLine[S ~string | ~[]byte](dst []byte, m *Msg, sid S, headers bool) []byte {
	headers = headers && len(m.Header) > 0
	if headers {
		dst = append(dst, "HMSG "...)
	} else {
		dst = append(dst, "MSG "...)
	}
	dst = append(dst, m.VisibleSubject()...)
	dst = append(dst, ' ')
	dst = append(dst, sid...)
	dst = append(dst, ' ')
	if len(m.Reply) > 0 {
		dst = append(dst, m.Reply...)
		dst = append(dst, ' ')
	}
	return appendSizes(dst, m, headers)
}

// AppendPub encodes a message as a client publishes it.
func AppendPub(dst []byte, m *Msg) []byte {
	headers := len(m.Header) > 0
	if headers {
		dst = append(dst, 'H')
	}
	dst = append(dst, "PUB "...)
	dst = append(dst, m.Subject...)
	dst = append(dst, ' ')
	if len(m.Reply) > 0 {
		dst = append(dst, m.Reply...)
		dst = append(dst, ' ')
	}
	return appendPayload(dst, m, headers)
}

// AppendLeafMsg encodes a message for a leaf link, with the chosen groups in
// m.Queues. The shown subject goes behind an '@' in the reply; without a reply
// there is no way to send it.
func AppendLeafMsg(dst []byte, m *Msg, headers bool) []byte {
	headers = headers && len(m.Header) > 0
	if headers {
		dst = append(dst, "HMSG "...)
	} else {
		dst = append(dst, "LMSG "...)
	}
	dst = append(dst, m.Subject...)
	dst = append(dst, ' ')
	if len(m.Queues) > 0 {
		if len(m.Reply) > 0 {
			dst = append(dst, "+ "...)
		} else {
			dst = append(dst, "| "...)
		}
	}
	if len(m.Reply) > 0 {
		dst = append(dst, m.Reply...)
		if m.Shown != nil {
			dst = append(dst, '@')
			dst = append(dst, m.Shown...)
		}
		dst = append(dst, ' ')
	}
	for _, q := range m.Queues {
		dst = append(dst, q...)
		dst = append(dst, ' ')
	}
	return appendPayload(dst, m, headers)
}

// appendPayload appends sizes, line end, header block and body.
func appendPayload(dst []byte, m *Msg, headers bool) []byte {
	dst = appendSizes(dst, m, headers)
	if headers {
		dst = append(dst, m.Header...)
	}
	dst = append(dst, m.Body...)
	return append(dst, '\r', '\n')
}

func appendSizes(dst []byte, m *Msg, headers bool) []byte {
	if headers {
		dst = appendInt(dst, len(m.Header))
		dst = append(dst, ' ')
		dst = appendInt(dst, len(m.Header)+len(m.Body))
	} else {
		dst = appendInt(dst, len(m.Body))
	}
	return append(dst, '\r', '\n')
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendUint(dst, uint64(n), 10) }

// ackPrefix begins the reply subjects of JetStream deliveries.
const ackPrefix = "$JS.ACK."

// ackDots is how many dots the shortest complete one has.
const ackDots = 8

// SplitShown undoes the '@' of AppendLeafMsg for a message from a link. Only
// replies of JetStream deliveries carry a shown subject; an '@' is looked for
// behind the eighth dot, since names in front of it may contain one.
func SplitShown(m *Msg) {
	if len(m.Reply) < len(ackPrefix) || string(m.Reply[:len(ackPrefix)]) != ackPrefix {
		return
	}
	dots := 0
	for i, c := range m.Reply {
		if c == '.' {
			dots++
		}
		if dots < ackDots {
			continue
		}
		if at := bytes.IndexByte(m.Reply[i:], '@'); at >= 0 {
			at += i
			m.Reply, m.Shown = m.Reply[:at:at], m.Reply[at+1:]
		}
		return
	}
}

// AppendLeafSub encodes interest; weight counts only with a queue.
func AppendLeafSub(dst []byte, subject, queue string, weight int) []byte {
	dst = append(dst, "LS+ "...)
	dst = append(dst, subject...)
	if queue != "" {
		dst = append(dst, ' ')
		dst = append(dst, queue...)
		dst = append(dst, ' ')
		dst = appendInt(dst, min(max(weight, 1), MaxWeight))
	}
	return append(dst, '\r', '\n')
}

// AppendLeafUnsub encodes the end of interest.
func AppendLeafUnsub(dst []byte, subject, queue string) []byte {
	dst = append(dst, "LS- "...)
	dst = append(dst, subject...)
	if queue != "" {
		dst = append(dst, ' ')
		dst = append(dst, queue...)
	}
	return append(dst, '\r', '\n')
}

// AppendErr encodes an error; the quotes are added here.
func AppendErr(dst []byte, text string) []byte {
	dst = append(dst, "-ERR '"...)
	dst = append(dst, text...)
	return append(dst, "'\r\n"...)
}

// AppendInfo encodes INFO, with the blank that the stock server puts behind
// the JSON.
func AppendInfo(dst, json []byte) []byte {
	dst = append(dst, "INFO "...)
	dst = append(dst, json...)
	return append(dst, " \r\n"...)
}

// AppendConnect encodes CONNECT.
func AppendConnect(dst, json []byte) []byte {
	dst = append(dst, "CONNECT "...)
	dst = append(dst, json...)
	return append(dst, '\r', '\n')
}
