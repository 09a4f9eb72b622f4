package journal

import (
	"bytes"
	"hash/crc32"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// FuzzScanner reads arbitrary bytes as a segment: nothing panics, records come
// in order and lie within the file, and Read finds what the scanner found.
// When sealed is true all checksums are made right first, so that what
// stands behind them is reached.
func FuzzScanner(f *testing.F) {
	g := newGroup()
	for i, data := range []string{"one", "two", ""} {
		r := edgestore.Record{Group: uint64(i), Index: 1, Term: 1, Kind: 1, Twice: i == 1, Data: []byte(data)}
		g.add(edgestore.LSN(i+1), 1, &r, recordBytes(&r, len(data)), nil, nil, nil)
	}
	g.finish()
	g.seal(segmentSeed(0, 1), 1, 0)
	f.Add(g.buf, false)
	f.Add(g.buf, true)
	f.Add(append(bytes.Clone(g.buf), g.buf...), true)
	f.Add([]byte{}, false)
	f.Add(bytes.Repeat([]byte{0xff}, 3*sector), true)
	f.Fuzz(func(t *testing.T, content []byte, sealed bool) {
		seed := segmentSeed(0, 1)
		content = bytes.Clone(content)
		if sealed {
			sealAnything(content, seed)
		}
		mem := vfs.NewMem()
		file, err := mem.Create(segmentName(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(content, segmentHeader); err != nil {
			t.Fatal(err)
		}
		seg := &segment{number: 1, file: file, seed: seed, size: segmentHeader + int64(len(content))}
		w := walk{expect: 1, limit: maxLSN, lost: func(l Lost) error {
			if l.First > l.Last {
				t.Errorf("lost %v", l)
			}
			return nil
		}}
		last := edgestore.LSN(0)
		var win windows
		w.call = each(func(e *edgestore.Entry) error {
			if e.LSN <= last {
				t.Errorf("LSN %d after %d", e.LSN, last)
			}
			last = e.LSN
			if e.At.Length == 0 {
				return nil
			}
			b, err := win.read(seg, e.At, nil)
			if err != nil || !bytes.Equal(b, e.Data) {
				t.Errorf("LSN %d at %+v can't be read back: %v", e.LSN, e.At, err)
			}
			return nil
		})
		if err := w.segment(seg); err != nil {
			t.Fatal(err)
		}
		e := end{
			segs:  []found{{segment: &segment{number: 1, file: file, seed: seed, size: seg.size, first: 1}}},
			heads: &heads{},
		}
		e.find(0)
		if e.end < segmentHeader || e.unsure > e.end || e.readable > e.last {
			t.Errorf("end %+v", e)
		}
	})
}

// sealAnything makes the checksums of whatever looks like frames right.
func sealAnything(b []byte, seed uint32) {
	for at := 0; at+frameHeader <= len(b); {
		h := b[at:]
		f := frame{
			count: le.Uint32(h[12:]), first: edgestore.LSN(le.Uint64(h[16:])),
			synced: edgestore.LSN(le.Uint64(h[24:])), boot: le.Uint32(h[32:]), flags: le.Uint32(h[36:]),
			format: 2,
		}
		f.seed = recordSeed(seed, f.boot, f.first)
		old := le.Uint32(h) == frameMagic1
		if old {
			f.format, f.seed = 1, recordSeed1(seed, f.boot)
		}
		body := int(min(le.Uint32(h[8:]), uint32(len(h)-int(f.header()))))
		records := h[f.header():][:body]
		for rest := records; len(rest) > 0; {
			_, total, ok := f.span(rest)
			if !ok {
				break
			}
			sealRecord(rest[:total], f.seed)
			rest = rest[total:]
		}
		if old {
			le.PutUint32(h[8:], uint32(body))
			le.PutUint32(h[4:], crc32.Update(seed, castagnoli, h[8:frameHeader1]))
		} else {
			f.sum = crc32.Update(f.seed, castagnoli, records)
			putFrame(h, seed, &f, body)
		}
		at += align(int(f.header()) + body)
	}
}

// FuzzRecord: what putRecord wrote is read, and a changed byte is seen.
func FuzzRecord(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint64(7), int64(1), uint8(3), true, []byte("data"), uint16(9))
	f.Add(uint64(1<<40), uint64(5), uint64(0), int64(-1), uint8(0), false, []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, lsn, group, incarnation uint64, wall int64, kind uint8, synced bool, data []byte, flip uint16) {
		want := edgestore.Record{
			LSN: edgestore.LSN(lsn), Group: group, Kind: kind, Incarnation: incarnation,
			Seat: lsn ^ incarnation, Place: uint64(wall), Takes: kind&1 != 0, Twice: kind&2 != 0,
			Stamp: edgestore.Stamp{Boot: 9, Mono: -wall, Wall: wall, Synced: synced}, Data: data,
		}
		if group != 0 {
			want.Index, want.Term = lsn+1, incarnation+1
		}
		b := make([]byte, recordBytes(&want, len(data)))
		n := putRecord(b, int(flip), 1, &want, len(data))
		copy(b[n:], data)
		sealRecord(b, 5)
		in := frame{format: 2, seed: 5, first: want.LSN - edgestore.LSN(flip)}
		var got edgestore.Record
		header, total, ok := in.record(b, &got)
		if !ok || header != n || total != len(b) {
			t.Fatalf("header %d, total %d, ok %v", header, total, ok)
		}
		checkRecord(t, &got, &want)
		b[int(flip)%len(b)] ^= 1 << (flip >> 8 & 7)
		if _, _, ok := in.record(b, &got); ok {
			t.Error("a flipped bit was not seen")
		}
	})
}

func FuzzHeaders(f *testing.F) {
	b := make([]byte, segmentInfoBytes)
	putSegmentInfo(b, segmentInfo{format: Format, id: 1, number: 2, floor: 3, boot: 4})
	f.Add(b)
	f.Add(meta{format: Format, id: 1, boot: 2, floor: 3}.bytes())
	f.Add([]byte(segmentName(12)))
	var h heads
	h.set(&marked{next: 5, since: 2, heads: []edgestore.Head{{Incarnation: 1, Chain: edgestore.Chain{Seat: 3, Place: 2}}}})
	page := make([]byte, pageBytes)
	f.Add(page[:h.putMark(page, markSeed(1), &frame{first: 5, synced: 4, boot: 1})])
	f.Fuzz(func(t *testing.T, b []byte) {
		var mark frame
		if body, ok := getFrame(b, markSeed(1), &mark); ok && mark.header()+body <= int64(len(b)) {
			mark.body, mark.width = b[mark.header():][:body], body
			if m := mark.mark(); len(m.heads) > len(b)/headBytes {
				t.Errorf("%d heads in %d bytes", len(m.heads), len(b))
			}
		}
		getSegmentInfo(b)
		if m, ok := parseMeta(b); ok && !bytes.Equal(m.bytes(), b[:metaBytes]) {
			t.Error("not written as read")
		}
		if n, ok := parseSegmentName(string(b)); ok && segmentName(n) != string(b) {
			t.Errorf("segment name %q is read as %d", b, n)
		}
	})
}
