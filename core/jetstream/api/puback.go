package api

import (
	"encoding/json"
	"strconv"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

// AckPrefix begins the answer to each message that a stream stores: it is made
// once.
func AckPrefix(stream, domain string) []byte {
	text := `{"stream":` + string(quote(stream)) + `,`
	if domain != "" {
		text += `"domain":` + string(quote(domain)) + `,`
	}
	return []byte(text + `"seq":`) // in one piece: every stream has one
}

// AppendAck appends the answer to a stored message, which begins with prefix. It
// is written by hand: it is sent once per message. The blank in a duplicate's
// answer is the protocol's own.
func AppendAck(b, prefix []byte, seq uint64, duplicate bool) []byte {
	b = append(b, prefix...)
	b = strconv.AppendUint(b, seq, 10)
	if duplicate {
		b = append(b, `,"duplicate": true`...)
	}
	return append(b, '}')
}

// AppendNack appends the answer to a message that a stream refused.
func AppendNack(b []byte, stream string, e *apierror.Error) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic("api: an API error does not marshal: " + err.Error())
	}
	b = append(b, `{"error":`...)
	b = append(b, text...)
	b = append(append(b, `,"stream":`...), quote(stream)...)
	return append(b, `,"seq":0}`...)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("api: a string does not marshal: " + err.Error())
	}
	return b
}
