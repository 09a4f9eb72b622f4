package sourcing

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"github.com/frondmq/frond/core/wire"
)

// HdrSource tells where a sourced message comes from.
const HdrSource = "Nats-Stream-Source"

// HdrIdentity tells which stream of a name it is: one that was deleted and made
// anew has another identity.
const HdrIdentity = "Nats-Stream-Identity"

// Name is the name that a source has among those of its stream: that of the
// origin, the hash of an external API, and its filters and their destinations.
func Name(stream, api string, filters, dests []string) string {
	return Label(stream, api) + " " + joinOr(filters) + " " + joinOr(dests)
}

// Label is the first part of Name, as it stands in the header.
func Label(stream, api string) string {
	if api == "" {
		return stream
	}
	return stream + ":" + hash(api)
}

// joinOr joins several with form feeds, the separator that stock servers use.
func joinOr(list []string) string {
	if len(list) == 0 {
		return ">"
	}
	return strings.Join(list, "\f")
}

// Identity is what tells a stream from another one of its name, by the time
// when it was made.
func Identity(created time.Time) string { return hash(created.UTC().Format(time.RFC3339Nano)) }

// hash is eight characters for a name: bytes of its SHA-256, each modulo 62.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	var b [8]byte
	for i := range b {
		b[i] = base62[sum[i]%62]
	}
	return string(b[:])
}

// AppendHeader appends the header block under which a message of an origin is
// stored. Expectations and batches were the origin's affair and are left out.
// For a source, label, filter and dest name it, subject is the message's at
// the origin and identity the origin's, "" when it is not known; for a mirror
// label is "". The result is nil when no header is left.
func AppendHeader(dst, header []byte, label string, seq uint64, filter, dest string, subject []byte, identity string) []byte {
	begin := len(dst)
	if len(header) > 0 {
		dst = wire.HeaderDeletePrefix(dst, header, "Nats-Expected-")
		dst = dropPrefix(dst, begin, "Nats-Batch-")
		if label != "" {
			dst = dropName(dst, begin, HdrSource)
		}
	}
	if label == "" {
		if len(dst) == begin {
			return nil
		}
		return dst
	}
	if len(dst) == begin {
		dst = append(dst, "NATS/1.0\r\n"...)
	} else {
		dst = dst[:len(dst)-2] // the empty line at the end
	}
	dst = append(append(append(dst, HdrSource...), ": "...), label...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(append(append(dst, ' '), filter...), ' ')
	dst = append(append(dst, dest...), ' ')
	dst = append(dst, subject...)
	if identity != "" {
		dst = append(append(dst, ' '), identity...)
	}
	return append(dst, "\r\n\r\n"...)
}

// dropPrefix removes headers from the block at dst[begin:] in place.
func dropPrefix(dst []byte, begin int, prefix string) []byte {
	clean := wire.HeaderDeletePrefix(nil, dst[begin:], prefix)
	return append(dst[:begin], clean...)
}

func dropName(dst []byte, begin int, name string) []byte {
	clean := wire.HeaderDelete(nil, dst[begin:], name)
	return append(dst[:begin], clean...)
}
