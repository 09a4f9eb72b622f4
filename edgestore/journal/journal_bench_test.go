package journal

import (
	"errors"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

// nullFS takes everything and keeps nothing that was written: what is measured
// is the journal alone.
type nullFS struct{ vfs.FS }
type nullFile struct{ vfs.File }

func (n nullFS) Create(name string) (vfs.File, error) {
	f, err := n.FS.Create(name)
	return nullFile{f}, err
}

func (n nullFS) Open(name string) (vfs.File, error) {
	f, err := n.FS.Open(name)
	return nullFile{f}, err
}

func (nullFile) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }
func (nullFile) Sync() error                              { return nil }
func (nullFile) Size() (int64, error)                     { return 32 << 20, nil }

func benchmarkAppend(b *testing.B, o Options, parallel bool) {
	o.StagedBytes = 32 << 20
	j, _ := mustOpen(b, o)
	j.Start(func(e []edgestore.Entry) { j.Release(e[len(e)-1].LSN) })
	data := make([]byte, 128)
	b.ReportAllocs()
	b.ResetTimer()
	one := func(n int, rec *edgestore.Record) {
		for {
			_, err := j.Append(rec, nil, nil, data)
			if err == nil {
				break
			}
			if !errors.Is(err, edgestore.ErrBusy) {
				b.Error(err)
				return
			}
			mustSync(b, j)
		}
		if n%64 == 0 {
			j.Kick()
		}
	}
	if parallel {
		b.RunParallel(func(pb *testing.PB) {
			rec := edgestore.Record{Kind: 1, Incarnation: 5}
			for n := 0; pb.Next(); n++ {
				one(n, &rec)
			}
		})
	} else {
		rec := edgestore.Record{Kind: 1, Incarnation: 5}
		for n := 0; n < b.N; n++ {
			one(n, &rec)
		}
	}
	mustSync(b, j)
	b.StopTimer()
	st := j.Stats()
	b.ReportMetric(float64(st.Records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(st.Records)/float64(st.Groups), "records/group")
	mustClose(b, j)
}

func BenchmarkAppend_alone(b *testing.B) {
	benchmarkAppend(b, Options{FS: nullFS{vfs.NewMem()}, Dir: "j", SegmentBytes: 32 << 20}, false)
}

func BenchmarkAppend_parallel(b *testing.B) {
	benchmarkAppend(b, Options{FS: nullFS{vfs.NewMem()}, Dir: "j", SegmentBytes: 32 << 20}, true)
}

// BenchmarkPipeline_disk is the whole way on the disk of the machine.
func BenchmarkPipeline_disk(b *testing.B) {
	benchmarkAppend(b, Options{Dir: b.TempDir(), SegmentBytes: 32 << 20}, true)
}

func benchmarkRead(b *testing.B, cacheBytes int64) {
	j, _ := mustOpen(b, Options{Dir: b.TempDir(), SegmentBytes: 8 << 20, CacheBytes: cacheBytes})
	var at []edgestore.Location
	j.Start(func(entries []edgestore.Entry) {
		for i := range entries {
			at = append(at, entries[i].At)
		}
	})
	data := make([]byte, 128)
	for range 10_000 {
		if _, err := j.Append(&edgestore.Record{}, nil, nil, data); err != nil {
			b.Fatal(err)
		}
	}
	mustSync(b, j)
	b.ReportAllocs()
	b.ResetTimer()
	var buf []byte
	for i := range b.N {
		var err error
		if buf, err = j.Read(at[i%len(at)], buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mustClose(b, j)
}

func BenchmarkRead_cache(b *testing.B) { benchmarkRead(b, 8<<20) }

// BenchmarkRead_file reads in order, as a drain does.
func BenchmarkRead_file(b *testing.B) { benchmarkRead(b, -1) }

// BenchmarkRecovery is a start on a journal of 128 MB of small records in files.
func BenchmarkRecovery(b *testing.B) {
	const size, records = 200, 128 << 20 / 260
	o := Options{Dir: b.TempDir(), SegmentBytes: 16 << 20, StagedBytes: 32 << 20}
	j, _ := mustOpen(b, o)
	j.Start(func([]edgestore.Entry) {})
	data := make([]byte, size)
	for i := range records {
		for {
			_, err := j.Append(&edgestore.Record{Incarnation: uint64(i % 10), Kind: 1}, nil, nil, data)
			if err == nil {
				break
			}
			mustSync(b, j)
		}
	}
	mustClose(b, j)
	b.SetBytes(128 << 20)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	for range b.N {
		j, _ := mustOpen(b, o)
		n := 0
		replayAll(b, j, func() { n++ })
		if n != records {
			b.Fatalf("%d of %d records", n, records)
		}
		mustClose(b, j)
	}
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func replayAll(b *testing.B, j *Journal, each func()) {
	if err := j.Replay(0, replayer{entry: func(*edgestore.Entry) error { each(); return nil }}); err != nil {
		b.Fatal(err)
	}
}
