package edgestore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// fileState is the state record: what the store held at a seal, and what else
// must be in the file. It is written last in every flush.
type fileState struct {
	applied  LSN
	first    uint64
	last     uint64
	msgs     uint64
	bytes    uint64
	lastTime int64
	nextDir  uint64
	nextRun  uint64
	files    []uint32 // older files that chunks lie in, ascending
	runs     []runInfo
	// records and sum say how many records there are beside this one, and what
	// their checksums come to: a record that a damaged tree has lost is missed.
	records uint64
	sum     uint32
	// uncounted: the subjects are not in runs, since one of them was damaged: an
	// open counts them.
	uncounted bool
	chain     Chain // of the operation applied last
}

const stateUncounted = 1

// The state is written twice, so that one damaged byte cannot take it away.
var stateKeys = [2]string{"t0", "t1"}

func (s *fileState) encode() []byte {
	var b []byte
	for _, v := range []uint64{uint64(s.applied), s.first, s.last, s.msgs, s.bytes} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendVarint(b, s.lastTime)
	b = binary.AppendUvarint(b, s.nextDir)
	b = binary.AppendUvarint(b, s.nextRun)
	b = binary.AppendUvarint(b, uint64(len(s.files)))
	for _, f := range s.files {
		b = binary.AppendUvarint(b, uint64(f))
	}
	b = binary.AppendUvarint(b, uint64(len(s.runs)))
	for _, r := range s.runs {
		b = binary.AppendUvarint(b, r.id)
		b = binary.AppendUvarint(b, uint64(r.blocks))
		b = binary.AppendUvarint(b, r.bytes)
		b = binary.AppendUvarint(b, r.count)
	}
	b = binary.AppendUvarint(b, s.records)
	b = binary.AppendUvarint(b, s.chain.Seat)
	b = binary.AppendUvarint(b, s.chain.Place)
	flags := uint64(0)
	if s.uncounted {
		flags |= stateUncounted
	}
	b = binary.AppendUvarint(b, flags)
	return binary.LittleEndian.AppendUint32(b, s.sum)
}

func decodeState(b []byte, format byte) (fileState, error) {
	r := reader{b: b}
	any := ^uint64(0)
	s := fileState{applied: LSN(r.uvarint(any)), first: r.uvarint(any), last: r.uvarint(any), msgs: r.uvarint(any), bytes: r.uvarint(any)}
	s.lastTime = r.varint()
	s.nextDir, s.nextRun = r.uvarint(any), r.uvarint(any)
	for n := r.uvarint(uint64(len(r.b))); n > 0 && r.err == nil; n-- {
		s.files = append(s.files, uint32(r.uvarint(1<<32-1)))
	}
	for n := r.uvarint(uint64(len(r.b))); n > 0 && r.err == nil; n-- {
		s.runs = append(s.runs, runInfo{r.uvarint(any), uint32(r.uvarint(1<<32 - 1)), r.uvarint(any), r.uvarint(any)})
	}
	s.records = r.uvarint(any)
	if format > recordFormat1 {
		s.chain = Chain{Seat: r.uvarint(any), Place: r.uvarint(any)}
		s.uncounted = r.uvarint(stateUncounted) != 0
	}
	s.sum = r.uint32()
	r.end()
	if r.err == nil && (s.first == 0 || s.first > s.last+1 || s.msgs > s.last+1-s.first) {
		r.fail("impossible state")
	}
	if r.err != nil {
		return fileState{}, fmt.Errorf("state: %w", r.err)
	}
	return s, nil
}

// recordSum is what one record adds (by exclusive or) to fileState.sum.
func recordSum(key string, crc uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], crc)
	return crc32.Update(crc32.Update(0, castagnoli, b[:]), castagnoli, []byte(key))
}

func idKey(kind byte, id uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{kind}, id))
}

// rowKey is the key of a chunk in its file. The checksum in it keeps versions
// apart: a flush in several transactions never overwrites what the last one
// refers to.
func (r *chunkRef) rowKey() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), r.first)
	return binary.BigEndian.AppendUint32(b, r.crc)
}

// encodeAux is the payload of a named value: the name is kept in it too, so
// that the record is complete without its key.
func encodeAux(key string, value []byte) []byte {
	b := binary.AppendUvarint(make([]byte, 0, len(key)+len(value)+4), uint64(len(key)))
	return append(append(b, key...), value...)
}

func decodeAux(payload []byte) (key string, value []byte, err error) {
	k, value, err := splitAux(payload)
	return string(k), value, err
}

// splitAux is decodeAux; both are parts of the payload.
func splitAux(payload []byte) (key, value []byte, err error) {
	r := reader{b: payload}
	key = r.bytes(r.uvarint(maxMessage))
	return key, r.b, r.err
}
