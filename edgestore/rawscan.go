package edgestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A raw scan finds records in the pages of a file without its tree: each says
// itself what it is, and lies in one piece.

// rawPlace is where a record was found.
type rawPlace struct {
	off    int64
	length uint32
}

// rawIndex lists the chunks that a scan has found, by first sequence and
// checksum.
type rawIndex struct {
	flush  uint64 // number of the last flush when it was made
	chunks map[chunkKey]rawPlace
}

const rawWindow = 1 << 20

// rawScan calls f for each whole record in the file; b is valid until f
// returns.
func rawScan(path string, hooks *FileOptions, f func(off int64, b []byte) error) error {
	if err := hooks.mayRead(path, "scan"); err != nil {
		return &ioError{path, "scan", err}
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	window := make([]byte, rawWindow+recordHeader)
	var record []byte
	for off := int64(0); off < size; {
		n, err := file.ReadAt(window, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return &ioError{path, "scan", err}
		}
		if n < recordHeader1 {
			return nil
		}
		w := window[:n]
		i := bytes.Index(w[:n-recordHeader1+4], recordMagic)
		if i < 0 {
			off += int64(n - recordHeader1 + 1)
			continue
		}
		off += int64(i)
		length := int64(binary.LittleEndian.Uint32(w[i+8:])) + int64(headerOf(w[i+4]))
		if off+length > size || w[i+4] == 0 || w[i+4] > recordFormat {
			off++
			continue
		}
		if i+int(length) <= n {
			record = w[i : i+int(length)]
		} else {
			record = make([]byte, length)
			if _, err := file.ReadAt(record, off); err != nil {
				return &ioError{path, "scan", err}
			}
		}
		if recordCRC(record) != binary.LittleEndian.Uint32(record[12:]) {
			off++
			continue
		}
		if err := f(off, record); err != nil {
			return err
		}
		off += length
	}
	return nil
}

// rawRow searches the pages of a file for a chunk that its tree has lost; nil
// when it is not there.
func (s *fileStore) rawRow(r *chunkRef) ([]byte, error) {
	path := fileName(s.o.Dir, r.file)
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	key := chunkKey{crc: r.crc, first: r.first}
	scans := s.files.moreLocked().raw
	index, ok := scans[r.file]
	now := s.applied.Load()
	if !ok || (r.file == s.files.id && index.flush != now) {
		index = rawIndex{flush: now, chunks: make(map[chunkKey]rawPlace)}
		err := rawScan(path, s.o, func(off int64, b []byte) error {
			if b[5] == kindChunk {
				k := chunkKey{crc: valueCRC(b), first: binary.LittleEndian.Uint64(b[32:])}
				index.chunks[k] = rawPlace{off, uint32(len(b))}
			}
			return nil
		})
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		scans[r.file] = index
	}
	place, ok := index.chunks[key]
	if !ok || place.length != r.length {
		return nil, nil
	}
	return readAt(path, place)
}

func readAt(path string, p rawPlace) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &ioError{path, "scan", err}
	}
	defer f.Close()
	b := make([]byte, p.length)
	if _, err := f.ReadAt(b, p.off); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, &ioError{path, "scan", err}
	}
	return b, nil
}

// salvageChunk is load for a chunk that the tree does not give; cause is why.
func (s *fileStore) salvageChunk(r *chunkRef, cause error) (*chunk, error) {
	b, err := s.rawRow(r)
	if err != nil {
		s.o.toldRead(err)
		return nil, err
	}
	if b != nil {
		if c, err := s.decode(b, r); err == nil {
			return c, nil
		}
	}
	return nil, cause
}

// rawRecords searches the pages of a file for records by their keys and
// checksums, and calls f for each that it finds.
func (s *fileStore) rawRecords(path string, want map[string]uint32, f func(key string, value []byte)) error {
	byCRC := make(map[uint32]string, len(want))
	for key, crc := range want {
		byCRC[crc] = key
	}
	return rawScan(path, s.o, func(_ int64, b []byte) error {
		key, ok := byCRC[valueCRC(b)]
		if ok && b[5] == key[0] {
			f(key, b)
			delete(byCRC, valueCRC(b))
		}
		return nil
	})
}
