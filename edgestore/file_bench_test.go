package edgestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

func dirSize(dir string) (n int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			n += info.Size()
		}
	}
	return n
}

// written is what the process has sent to the disk, from the kernel's books.
func written() (n int64) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for _, line := range splitLines(string(b)) {
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	return 0
}

func splitLines(s string) (out []string) {
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] != '\n' {
			i++
		}
		out = append(out, s[:i])
		s = s[min(i+1, len(s)):]
	}
	return out
}

func benchBody(i int) []byte {
	return fmt.Appendf(nil, `{"device":"d%04d","temperature":%d.%d,"humidity":%d,"battery":%d,"status":"ok","sequence":%d}`,
		i%1000, i%40, i%10, i%100, i*7%100, i)
}

func fill(b *testing.B, s edgestore.Store, blobs *edgestoretest.Blobs, subjects, n, every int) (bytes int64) {
	b.Helper()
	for i := 0; i < n; i++ {
		m := edgestore.Msg{Seq: uint64(i + 1), Time: int64(i) * int64(time.Millisecond), Subject: fmt.Sprintf("sensors.%d.data", i*7919%subjects), Body: benchBody(i)}
		bytes += int64(len(m.Body) + len(m.Subject))
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			b.Fatal(err)
		}
		if (i+1)%every == 0 || i == n-1 {
			s.Seal(edgestore.LSN(i+1), edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	return bytes
}

// BenchmarkFileStore_append is the whole of append, seal and flush, with 8,192
// messages a flush.
func BenchmarkFileStore_append(b *testing.B) {
	for _, subjects := range []int{100, 100_000} {
		for _, compress := range []bool{false, true} {
			b.Run(fmt.Sprintf("subjects=%d,s2=%v", subjects, compress), func(b *testing.B) {
				dir := b.TempDir()
				blobs := new(edgestoretest.Blobs)
				s := mustOpen(b, edgestore.FileOptions{Dir: dir, Incarnation: 1, Blobs: blobs, Compression: compress})
				b.ResetTimer()
				before := written()
				n := fill(b, s, blobs, subjects, b.N, 8192)
				b.ReportMetric(float64(written()-before)/float64(n), "written/byte")
				b.ReportMetric(float64(dirSize(dir))/float64(n), "stored/byte")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			})
		}
	}
}

func BenchmarkFileStore_read(b *testing.B) {
	const n = 200_000
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(b, edgestore.FileOptions{Dir: b.TempDir(), Incarnation: 1, Blobs: blobs})
	fill(b, s, blobs, 1000, n, 8192)
	walk := func(b *testing.B, filters []string) {
		b.ReportAllocs()
		at := uint64(0)
		var buf []byte
		for i := 0; i < b.N; i++ {
			m, out, err := s.LoadNext(filters, at, buf)
			if err != nil {
				at = 0
				continue
			}
			buf, at = out, m.Seq+1
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	}
	b.Run("next/all", func(b *testing.B) { walk(b, nil) })
	b.Run("next/wildcard=all", func(b *testing.B) { walk(b, []string{"sensors.*.data"}) })
	b.Run("next/literal=1of1000", func(b *testing.B) { walk(b, []string{"sensors.7.data"}) })
	b.Run("pending/all", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			edgestore.CountOf(s, nil, uint64(i%n), false)
		}
	})
	b.Run("pending/literal", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			edgestore.CountOf(s, []string{"sensors.7.data"}, n/2, false)
		}
	})
	b.Run("pending/wildcard", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			edgestore.CountOf(s, []string{"sensors.*.data"}, 1, false)
		}
	})
	b.Run("lastfor/literal", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			_, _ = s.LastFor("sensors.7.data")
		}
	})
	b.Run("state", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			s.State()
		}
	})
}

// BenchmarkMemoryIndex is what an append costs without any disk.
func BenchmarkMemoryIndex(b *testing.B) {
	s := edgestore.NewMemoryStore(1)
	subjects := make([]string, 1000)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("sensors.%d.data", i)
	}
	m := edgestore.Msg{Body: benchBody(1)}
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		m.Seq, m.Time, m.Subject = uint64(i+1), int64(i), subjects[i%1000]
		if err := s.Append(&m, edgestore.Location{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFileStore_open is what a restart takes: records, no messages.
func BenchmarkFileStore_open(b *testing.B) {
	for _, subjects := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("messages=300000,subjects=%d", subjects), func(b *testing.B) {
			o := edgestore.FileOptions{Dir: b.TempDir(), Incarnation: 1, Blobs: new(edgestoretest.Blobs)}
			s := mustOpen(b, o)
			fill(b, s, o.Blobs.(*edgestoretest.Blobs), subjects, 300_000, 8192)
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				s = mustOpen(b, o)
			}
		})
	}
}

// BenchmarkFileStore_keyValue keeps one message a key: every append removes an
// older one, which lies in a chunk most of the time.
func BenchmarkFileStore_keyValue(b *testing.B) {
	const keys = 20_000
	dir := b.TempDir()
	blobs := new(edgestoretest.Blobs)
	s := mustOpen(b, edgestore.FileOptions{Dir: dir, Incarnation: 1, Blobs: blobs})
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("$KV.bucket.key%05d", i)
	}
	bytes, before := int64(0), written()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		m := edgestore.Msg{Seq: uint64(i + 1), Time: int64(i), Subject: names[uint32(i)*2654435761%keys], Body: benchBody(i)}
		bytes += int64(len(m.Body) + len(m.Subject))
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			b.Fatal(err)
		}
		if st, _, _ := s.Subject(m.Subject); st.Msgs > 1 {
			if _, _, err := s.Remove(st.First); err != nil {
				b.Fatal(err)
			}
		}
		if (i+1)%8192 == 0 || i == b.N-1 {
			s.Seal(edgestore.LSN(i+1), edgestore.Chain{}, nil)
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(written()-before)/float64(bytes), "written/byte")
	b.ReportMetric(float64(dirSize(dir))/float64(keys*120), "stored/live-byte")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
