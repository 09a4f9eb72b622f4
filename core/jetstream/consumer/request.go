package consumer

import (
	"bytes"
	"encoding/json"
)

// PullRequest is the body of a request for messages.
type PullRequest struct {
	Batch         int    `json:"batch,omitempty"`
	Expires       int64  `json:"expires,omitempty"` // nanoseconds
	NoWait        bool   `json:"no_wait,omitempty"`
	MaxBytes      int    `json:"max_bytes,omitempty"`
	Heartbeat     int64  `json:"idle_heartbeat,omitempty"` // nanoseconds
	Group         string `json:"group,omitempty"`
	MinPending    int64  `json:"min_pending,omitempty"`
	MinAckPending int64  `json:"min_ack_pending,omitempty"`
	ID            string `json:"id,omitempty"`
	Priority      int    `json:"priority,omitempty"`

	isJSON bool
}

// ParsePull reads the body of a request: nothing is one message, a number is a
// batch, or a JSON object. What is neither is one message too. The error is
// that of the JSON, as clients are shown it.
func ParsePull(body []byte) (PullRequest, error) {
	body = trimSpace(body)
	if len(body) == 0 {
		return PullRequest{Batch: 1}, nil
	}
	if body[0] != '{' {
		if n := parseUint(body); n > 0 && n < 1<<31 {
			return PullRequest{Batch: int(n)}, nil
		}
		return PullRequest{Batch: 1}, nil
	}
	r := PullRequest{isJSON: true}
	if r.parsePlain(body) {
		return r, nil
	}
	r = PullRequest{isJSON: true}
	err := json.Unmarshal(body, &r)
	return r, err
}

// parsePlain reads the form that clients write, numbers and booleans in one
// flat object, without reflection: requests are as frequent as messages. It
// reports false for whatever else there is, and for numbers that are not plain
// integers, so that the package json decides.
func (r *PullRequest) parsePlain(b []byte) bool {
	b = b[1:]
	if b = skipSpace(b); len(b) > 0 && b[0] == '}' {
		return len(skipSpace(b[1:])) == 0
	}
	for {
		if b = skipSpace(b); len(b) == 0 || b[0] != '"' {
			return false
		}
		end := bytes.IndexByte(b[1:], '"')
		if end < 0 {
			return false
		}
		key := b[1 : 1+end]
		if b = skipSpace(b[end+2:]); len(b) == 0 || b[0] != ':' {
			return false
		}
		b = skipSpace(b[1:])
		n := 0
		for n < len(b) && (b[n] >= '0' && b[n] <= '9' || b[n] >= 'a' && b[n] <= 'z') {
			n++
		}
		if !r.set(key, b[:n]) {
			return false
		}
		if b = skipSpace(b[n:]); len(b) == 0 {
			return false
		}
		switch b[0] {
		case ',':
			b = b[1:]
		case '}':
			return len(skipSpace(b[1:])) == 0
		default:
			return false
		}
	}
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

func (r *PullRequest) set(key, value []byte) bool {
	if string(key) == "no_wait" {
		r.NoWait = string(value) == "true"
		return r.NoWait || string(value) == "false"
	}
	if len(value) == 0 || len(value) > 18 || len(value) > 1 && value[0] == '0' {
		return false
	}
	n := parseUint(value)
	if n == 0 && string(value) != "0" {
		return false
	}
	switch string(key) {
	case "batch":
		r.Batch = int(n)
		return int64(r.Batch) == int64(n)
	case "max_bytes":
		r.MaxBytes = int(n)
		return int64(r.MaxBytes) == int64(n)
	case "expires":
		r.Expires = int64(n)
	case "idle_heartbeat":
		r.Heartbeat = int64(n)
	default:
		return false
	}
	return true
}
