package edgestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

func FuzzParseBlob(f *testing.F) {
	f.Add(AppendBlob(nil, []byte("a.b"), []byte("NATS/1.0\r\n\r\n"), []byte("body")))
	f.Add(AppendBlob(nil, []byte("a"), nil, nil))
	f.Add([]byte{0x80})
	f.Add([]byte{3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		subject, header, body, err := ParseBlob(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		again := AppendBlob(nil, subject, header, body)
		s2, h2, b2, err := ParseBlob(again)
		if err != nil || !bytes.Equal(s2, subject) || !bytes.Equal(h2, header) || !bytes.Equal(b2, body) {
			t.Fatalf("%q, %q, %q came back as %q, %q, %q, %v", subject, header, body, s2, h2, b2, err)
		}
	})
}

// fixRecord fixes length and checksum, so that the fuzzer gets behind them.
func fixRecord(b []byte) []byte {
	if len(b) < recordHeader {
		return b
	}
	b = bytes.Clone(b)
	copy(b, recordMagic)
	b[4] = recordFormat
	endRecord(b)
	return b
}

func sampleChunk(compress bool) []byte {
	var w chunkBuilder
	w.reset()
	for i := uint64(1); i < 20; i++ {
		w.add(i*i, int64(i)*100, []byte{'s', '.', byte('a' + i%3)}, nil, bytes.Repeat([]byte{byte(i)}, 50))
	}
	_, b := w.finish(7, 3, 1, 1, 19*19, 0, compress)
	return b
}

func FuzzDecodeChunk(f *testing.F) {
	f.Add(sampleChunk(false))
	f.Add(sampleChunk(true))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeChunk(b, 1); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("class of %v", err)
		}
		b = fixRecord(b)
		if len(b) > 5 {
			b[5] = kindChunk
			b = fixRecord(b)
		}
		c, err := decodeChunk(b, 1)
		if err != nil {
			return
		}
		if c.packed != nil && len(c.packed) < 1<<16 {
			if n := c.msgs[len(c.msgs)-1]; n.off+n.header+n.body > 1<<24 {
				return // a fuzzer's bomb: real ones fail the checksum
			}
		}
		body, err := c.bodies()
		if err != nil {
			return
		}
		last := uint64(0)
		for i := range c.msgs {
			m := &c.msgs[i]
			if m.seq <= last || m.seq > c.last || int(m.off+m.header+m.body) > len(body) || int(m.subj) >= len(c.subjects) {
				t.Fatalf("message %d: %+v", i, m)
			}
			last = m.seq
			if j := c.search(m.seq); j != i {
				t.Fatalf("search %d: %d, want %d", m.seq, j, i)
			}
		}
	})
}

func FuzzDecodeRun(f *testing.F) {
	var sample []byte
	w := newRunWriter(1, record{}, func(_ string, r *record) error { sample = r.payload; return nil })
	for _, d := range []subjectDelta{{"a", 1, 2, 2, 0}, {"a.b", 3, 4, 9, staleFirst}, {"b", 0, 0, 0, 0}} {
		if err := w.add(&d); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.cut(); err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeRunBlock(b, 0)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		for i := range list {
			if i > 0 && list[i].name <= list[i-1].name {
				t.Fatalf("%q after %q", list[i].name, list[i-1].name)
			}
			if d := list[i]; d.msgs > 0 && (d.first == 0 || d.last < d.first) {
				t.Fatalf("%+v", d)
			}
		}
	})
}

func FuzzDecodeRecords(f *testing.F) {
	st := fileState{applied: 9, first: 1, last: 5, msgs: 2, files: []uint32{1, 2}, runs: []runInfo{{1, 2, 3, 4}}}
	f.Add(st.encode())
	p := newDirPage(1, []chunkRef{{first: 1, last: 9, msgs: 3, length: 100, file: 1, crc: 5}, {first: 12, last: 12, msgs: 1, length: 9, file: 2}})
	f.Add(p.encode(nil))
	for _, g := range []gapPage{{key: 1, run: 3, count: gapSpan}, {key: 1, run: 1, count: 2, list: []uint16{4, 7}}} {
		f.Add(g.encode(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := decodeState(b, recordFormat); err == nil {
			if again, err := decodeState(st.encode(), recordFormat); err != nil || again.last != st.last {
				t.Fatalf("state does not come back: %v", err)
			}
		}
		if p, err := decodeDirPage(1, b); err == nil {
			q, err := decodeDirPage(1, p.encode(nil))
			if err != nil || len(q.refs) != len(p.refs) || q.last() != p.last() {
				t.Fatalf("page does not come back: %v", err)
			}
		}
		if p, err := decodeGapPage(3, b); err == nil {
			q, err := decodeGapPage(3, p.encode(nil))
			if err != nil || q.count != p.count || q.run != p.run {
				t.Fatalf("gaps do not come back: %v", err)
			}
		}
		if key, value, err := decodeAux(b); err == nil {
			k2, v2, err := decodeAux(encodeAux(key, value))
			if err != nil || k2 != key || !bytes.Equal(v2, value) {
				t.Fatalf("value does not come back: %v", err)
			}
		}
		_, _ = parseRecord(b, kindState)
	})
}

// FuzzMatch compares the matcher, and the jumps that a search makes, with
// comparing tokens.
func FuzzMatch(f *testing.F) {
	f.Add("a.*.c", "a.b.c", "a.b.d")
	f.Add("*.b.x", "a.b-c.x", "a/b.x")
	f.Add(">", "a", "")
	f.Fuzz(func(t *testing.T, pattern, name, other string) {
		if pattern == "" || name == "" {
			return
		}
		got, want := matchSubject(pattern, name), slowMatch(pattern, name)
		if got != want {
			t.Fatalf("match %q %q: %v", pattern, name, got)
		}
		if got || !hasWildcard(pattern) {
			return
		}
		to, ok := skipTo(pattern, name)
		if !ok {
			return
		}
		if to <= name {
			t.Fatalf("skip %q from %q goes back to %q", pattern, name, to)
		}
		if other > name && other < to && slowMatch(pattern, other) {
			t.Fatalf("skip %q from %q to %q passes %q over", pattern, name, to, other)
		}
	})
}

func slowMatch(pattern, name string) bool {
	p, s := bytes.Split([]byte(pattern), []byte(".")), bytes.Split([]byte(name), []byte("."))
	for i := range p {
		if string(p[i]) == ">" && i == len(p)-1 {
			return len(s) > i
		}
		if i >= len(s) || (string(p[i]) != "*" && !bytes.Equal(p[i], s[i])) {
			return false
		}
	}
	return len(p) == len(s)
}

// FuzzGapSet compares the set with a map, over operations taken from b.
func FuzzGapSet(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 1, 0, 200, 2, 0, 0, 3, 1, 0, 255, 255})
	f.Add(bytes.Repeat([]byte{1, 0, 0, 255, 7}, 20))
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 5 << gapShift
		g := gapSet{track: true}
		want := make([]bool, limit)
		saved := map[uint64][]byte{}
		for n := 0; len(b) >= 5 && n < 40; n++ {
			lo := uint64(binary.LittleEndian.Uint16(b[1:])) * 5 % limit
			span := uint64(binary.LittleEndian.Uint16(b[3:]))
			switch b[0] % 4 {
			case 0:
				if g.add(lo) == want[lo] {
					t.Fatalf("add %d", lo)
				}
				want[lo] = true
			case 1:
				hi := min(lo+span, limit-1)
				g.addRange(lo, hi)
				for i := lo; i <= hi; i++ {
					want[i] = true
				}
			case 2:
				lo &^= gapMask
				hi := min(lo+span<<2|gapMask, limit-1)
				g.addRange(lo, hi)
				for i := lo; i <= hi; i++ {
					want[i] = true
				}
			case 3:
				for k, v := range g.drain() {
					if saved[k] = v; v == nil {
						delete(saved, k)
					}
				}
			}
			b = b[5:]
			checkGaps(t, &g, want, lo)
		}
		for k, v := range g.drain() {
			if saved[k] = v; v == nil {
				delete(saved, k)
			}
		}
		var again gapSet
		for k, v := range saved {
			p, err := decodeGapPage(k, v)
			if err != nil {
				t.Fatal(err)
			}
			again.union(&p)
		}
		for _, at := range []uint64{0, 1 << gapShift, limit / 2, limit - 1} {
			checkGaps(t, &again, want, at)
		}
	})
}

func checkGaps(t *testing.T, g *gapSet, want []bool, at uint64) {
	t.Helper()
	limit := uint64(len(want))
	if g.has(at) != want[at] {
		t.Fatalf("has %d: %v", at, g.has(at))
	}
	next := at
	for next < limit && want[next] {
		next++
	}
	if got := g.next(at); got != next {
		t.Fatalf("next %d: %d, want %d", at, got, next)
	}
	prev, found := at, true
	for want[prev] {
		if prev == 0 {
			found = false
			break
		}
		prev--
	}
	if got, ok := g.prev(at); ok != found || (ok && got != prev) {
		t.Fatalf("prev %d: %d, %v, want %d, %v", at, got, ok, prev, found)
	}
	n := uint64(0)
	for _, w := range want[at:] {
		if w {
			n++
		}
	}
	if got := g.count(at, limit-1); got != n {
		t.Fatalf("count from %d: %d, want %d", at, got, n)
	}
	m := uint64(0)
	g.each(at, limit-1, func(lo, hi uint64) bool { m += hi - lo + 1; return true })
	if m != n {
		t.Fatalf("each from %d: %d, want %d", at, m, n)
	}
}
