package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"time"

	"github.com/frondmq/frond/edgestore/vfs"
)

// scanner finds the frames of a segment from its start to its end. Where the
// bytes are no frame it looks for the next one at every sector. Whoever gets
// no frame any more has to ask err why: what could not be read is not known to
// be damaged.
type scanner struct {
	seg  *segment
	off  int64
	boot uint32 // of the newest frame so far: older ones behind it are stale
	err  error

	buf    []byte
	lo     int64 // offset of buf[0] in the file
	window int64 // what is read at once
	heads  bool  // only headers are wanted: body reads the rest
}

// The first read is short, for some want one frame only. Further reads are as
// long as what stays in the cache of a processor while it is checked: of reads of
// a megabyte a recovery became slower.
const (
	scanWindowMin = 64 << 10
	scanWindow    = 256 << 10
)

func newScanner(s *segment) *scanner {
	return new(scanner).reset(s)
}

// newHeadScanner is for those who want the headers, and the body of few frames.
func newHeadScanner(s *segment) *scanner {
	return (&scanner{heads: true}).reset(s)
}

// reset begins anew with a segment, in the same buffer.
func (s *scanner) reset(seg *segment) *scanner {
	*s = scanner{seg: seg, off: segmentHeader, window: scanWindowMin, heads: s.heads, buf: s.buf[:0]}
	return s
}

// next finds the next frame. The body is valid until the call after.
func (s *scanner) next(f *frame) bool {
	for s.err == nil && s.off+frameHeader <= s.seg.size {
		header := s.view(s.off, frameHeader)
		if s.err != nil {
			break
		}
		if body, ok := getFrame(header, s.seg.seed, f); ok &&
			f.boot >= s.boot && s.off+f.header()+body <= s.seg.size {
			f.off, f.body, f.width = s.off, nil, body
			if !s.heads && !s.body(f) {
				break
			}
			s.off = f.end()
			s.boot = f.boot
			return true
		}
		s.off += sector
	}
	return false
}

// body reads and checks the body of a frame that was found last.
func (s *scanner) body(f *frame) bool {
	whole := s.view(f.off, f.header()+f.width)
	if s.err != nil {
		return false
	}
	f.body = whole[f.header():]
	f.sound = f.format > 1 && f.count > 0 && crc32.Update(f.seed, castagnoli, f.body) == f.sum
	return true
}

// view returns n bytes at off, which lie within the file.
func (s *scanner) view(off, n int64) []byte {
	if off < s.lo || off+n > s.lo+int64(len(s.buf)) {
		want := max(n, min(s.window, s.seg.size-off))
		if int64(cap(s.buf)) < want {
			s.buf = make([]byte, max(want, min(scanWindow, s.seg.size)))
		}
		s.window = scanWindow
		s.buf = s.buf[:want]
		s.lo = off
		if s.err = s.seg.readAt(s.buf, off); s.err != nil {
			s.buf = s.buf[:0]
			return nil
		}
	}
	return s.buf[off-s.lo:][:n]
}

// readAt fills b from off, with zeros behind the end of the file.
func (s *segment) readAt(b []byte, off int64) error {
	return readSurely(s.file, s.path, s.told, b, off)
}

// readWaits are the waits between the tries of a read that fails.
var readWaits = [...]time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}

// readSurely fills b from off, with zeros behind the end of the file. A failed
// read is told, and tried again: cheap cards fail once and then work. What it
// returns in the end says nothing about the bytes, which may be whole.
func readSurely(f vfs.File, path string, told func(file string, err error), b []byte, off int64) error {
	for try := 0; ; try++ {
		n, err := f.ReadAt(b, off)
		if err == nil || n == len(b) || errors.Is(err, io.EOF) {
			clear(b[n:])
			return nil
		}
		name := filepath.Base(path)
		err = fmt.Errorf("read %d bytes at %d of %s: %w", len(b), off, name, err)
		if try == 0 && told != nil {
			told(name, err)
		}
		if try == len(readWaits) {
			return err
		}
		time.Sleep(readWaits[try])
	}
}
