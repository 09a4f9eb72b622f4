package jetstream

import (
	"encoding/json"
	"strconv"

	"github.com/frondmq/frond/core/jetstream/apierror"
)

// appendAck appends the answer to a stored message. It is written by hand: it
// is sent once per message. The blank in a duplicate's answer is the
// protocol's own.
func appendAck(b []byte, v *streamView, seq uint64, duplicate bool) []byte {
	b = append(b, v.ackPrefix...)
	b = strconv.AppendUint(b, seq, 10)
	if duplicate {
		b = append(b, `,"duplicate": true`...)
	}
	return append(b, '}')
}

// appendNack appends the answer to a message that a stream refused.
func appendNack(b []byte, stream string, e *apierror.Error) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic("jetstream: an API error does not marshal: " + err.Error())
	}
	b = append(b, `{"error":`...)
	b = append(b, text...)
	b = append(append(b, `,"stream":`...), quoteJSON(stream)...)
	return append(b, `,"seq":0}`...)
}
