package edgestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// Every value of a store's files begins with the same envelope, so that it
// says by itself what it is, where it belongs and whether it is whole; a scan
// of the raw pages finds it again when the tree around it is broken. See
// FORMAT.md.
type record struct {
	kind        byte
	flags       uint16
	incarnation uint64
	flush       uint64 // number of the flush that wrote it
	id          uint64
	format      byte // when it was read
	payload     []byte
	crc         uint32
}

const (
	kindChunk = 'c'
	kindHusk  = 'h'
	kindDir   = 'd'
	kindGap   = 'g'
	kindRun   = 's'
	kindAux   = 'a'
	kindState = 't'
	kindTable = 'k'
	kindLost  = 'l'
	kindFile  = 'f'

	recordFormat  = 2 // that is written
	recordFormat1 = 1 // that is read too
	recordHeader  = 56
	recordHeader1 = 40
	flagS2        = 1
)

// headerOf is the length of a header of a format.
func headerOf(format byte) int {
	if format == recordFormat1 {
		return recordHeader1
	}
	return recordHeader
}

var recordMagic = []byte{0xF7, 'f', 'r', 'd'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// beginRecord appends an envelope; what is appended after it is the payload,
// and endRecord closes it.
func beginRecord(dst []byte, r *record) []byte {
	dst = append(dst, recordMagic...)
	dst = append(dst, recordFormat, r.kind)
	dst = binary.LittleEndian.AppendUint16(dst, r.flags)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // length and checksum
	dst = binary.LittleEndian.AppendUint64(dst, r.incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, r.flush)
	dst = binary.LittleEndian.AppendUint64(dst, r.id)
	return append(dst, noCipher[:]...)
}

// noCipher stands where a cipher and its nonce have their place: plain.
var noCipher [recordHeader - recordHeader1]byte

func endRecord(b []byte) uint32 {
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-recordHeader))
	crc := recordCRC(b)
	binary.LittleEndian.PutUint32(b[12:], crc)
	return crc
}

func recordCRC(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:12]), castagnoli, b[16:])
}

func encodeRecord(r *record) ([]byte, uint32) {
	b := beginRecord(make([]byte, 0, recordHeader+len(r.payload)), r)
	b = append(b, r.payload...)
	return b, endRecord(b)
}

// formatKey is the record that says the format of a file.
const formatKey = string(kindFile)

// putFormat says in a new file what it takes to read it: the format of the file
// and the oldest program's that can, and its cipher.
func putFormat(b *bbolt.Bucket, incarnation uint64) error {
	p := binary.AppendUvarint(nil, recordFormat)
	p = binary.AppendUvarint(p, recordFormat)
	p = binary.AppendUvarint(p, 0)
	v, _ := encodeRecord(&record{kind: kindFile, incarnation: incarnation, payload: p})
	return b.Put([]byte(formatKey), v)
}

// checkFormat refuses a file that this program cannot read. Damage of the record
// is none of the file.
func checkFormat(v []byte) error {
	rec, err := parseRecord(v, kindFile)
	if err != nil {
		if isCorrupt(err) {
			return nil
		}
		return err
	}
	r := reader{b: rec.payload}
	is, needs, cipher := r.uvarint(1<<32), r.uvarint(1<<32), r.uvarint(1<<32)
	if r.err == nil && (needs > recordFormat || cipher != 0) {
		return fmt.Errorf("file of format %d, cipher %d: %w", is, cipher, ErrFormat)
	}
	return nil
}

// parseRecord checks an envelope; payload is a part of b.
//
// A record of a format or with a cipher that is not known is no damage: it is
// of class ErrFormat when its checksum, which lies in the same place in every
// format, is right.
func parseRecord(b []byte, kind byte) (record, error) {
	if len(b) < recordHeader1 {
		return record{}, fmt.Errorf("%d bytes are no record: %w", len(b), ErrCorrupt)
	}
	if !bytes.Equal(b[:4], recordMagic) {
		return record{}, fmt.Errorf("no record magic: %w", ErrCorrupt)
	}
	header := headerOf(b[4])
	n := binary.LittleEndian.Uint32(b[8:])
	if b[4] <= recordFormat && (len(b) < header || uint64(n) != uint64(len(b)-header)) {
		return record{}, fmt.Errorf("length %d in a value of %d: %w", n, len(b), ErrCorrupt)
	}
	r := record{
		kind:        b[5],
		flags:       binary.LittleEndian.Uint16(b[6:]),
		crc:         binary.LittleEndian.Uint32(b[12:]),
		incarnation: binary.LittleEndian.Uint64(b[16:]),
		flush:       binary.LittleEndian.Uint64(b[24:]),
		id:          binary.LittleEndian.Uint64(b[32:]),
		format:      b[4],
	}
	if recordCRC(b) != r.crc {
		return record{}, fmt.Errorf("checksum mismatch: %w", ErrCorrupt)
	}
	if r.format == 0 || r.format > recordFormat {
		return record{}, fmt.Errorf("record of format %d: %w", r.format, ErrFormat)
	}
	if c := b[recordHeader1:header]; !bytes.Equal(c, noCipher[:len(c)]) {
		return record{}, fmt.Errorf("record with cipher %d: %w", binary.LittleEndian.Uint16(c), ErrFormat)
	}
	r.payload = b[header:]
	if r.kind != kind {
		return record{}, fmt.Errorf("kind %q where %q belongs: %w", r.kind, kind, ErrCorrupt)
	}
	return r, nil
}

// reader takes numbers off a payload; the first thing that is wrong stays in
// err, and everything after it reads as zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", what, ErrCorrupt)
	}
	r.b = nil
}

func (r *reader) uvarint(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, w := binary.Uvarint(r.b)
	if w <= 0 || v > limit {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[w:]
	return v
}

func (r *reader) varint() int64 {
	if r.err != nil {
		return 0
	}
	v, w := binary.Varint(r.b)
	if w <= 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[w:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail("cut short")
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.b)) {
		r.fail("cut short")
	}
	if r.err != nil {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) end() {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
}
