package edgestore

import (
	"encoding/binary"
	"fmt"
)

// AppendBlob appends the stored form of one message to dst: what a journal
// record carries of it, and what a store reads back until the message has
// moved into a chunk. The lengths of subject and header come first, the body
// is the rest, so a blob costs two or three bytes more than its parts.
// Whoever carries a blob keeps its length and its checksum.
func AppendBlob(dst []byte, subject, header, body []byte) []byte {
	dst = AppendBlobHead(dst, len(subject), len(header))
	dst = append(dst, subject...)
	dst = append(dst, header...)
	return append(dst, body...)
}

// AppendBlobHead appends what stands in a blob before the subject, for who can
// hand on the parts without joining them first.
func AppendBlobHead(dst []byte, subject, header int) []byte {
	dst = binary.AppendUvarint(dst, uint64(subject))
	return binary.AppendUvarint(dst, uint64(header))
}

// ParseBlob takes a blob apart. The results are parts of b; header is nil when
// there is none.
func ParseBlob(b []byte) (subject, header, body []byte, err error) {
	ns, w1 := binary.Uvarint(b)
	if w1 <= 0 {
		return nil, nil, nil, fmt.Errorf("blob: bad subject length: %w", ErrCorrupt)
	}
	nh, w2 := binary.Uvarint(b[w1:])
	if w2 <= 0 {
		return nil, nil, nil, fmt.Errorf("blob: bad header length: %w", ErrCorrupt)
	}
	rest := b[w1+w2:]
	if ns > uint64(len(rest)) || nh > uint64(len(rest))-ns {
		return nil, nil, nil, fmt.Errorf("blob: parts of %d and %d bytes in %d: %w", ns, nh, len(rest), ErrCorrupt)
	}
	subject = rest[:ns:ns]
	if nh > 0 {
		header = rest[ns : ns+nh : ns+nh]
	}
	return subject, header, rest[ns+nh:], nil
}

// BlobReader reads back what a Location points at; the journal is one. buf is
// used when it is large enough; the result does not alias the reader.
type BlobReader interface {
	Read(at Location, buf []byte) ([]byte, error)
	// Recent is Read from memory alone; not ok: that does not have it.
	Recent(at Location, buf []byte) (b []byte, ok bool)
}
