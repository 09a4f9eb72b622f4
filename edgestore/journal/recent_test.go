package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
)

// Recent gives what the cache has, and what lies beside what was read last, without
// the disk; else nothing.
func TestJournal_recentReadsNothing(t *testing.T) {
	for _, cache := range []int64{-1, 1 << 20} {
		faults := vfs.WithFaults(vfs.NewMem())
		o := memOptions(faults)
		o.CacheBytes = cache
		j, _ := mustOpen(t, o)
		var c collector
		j.Start(c.apply)
		for i := range 50 {
			mustAppend(t, j, fmt.Sprint("record ", i+1, strings.Repeat("x", 200)))
		}
		mustSync(t, j)
		reads := 0
		faults.SetHook(func(call vfs.Call) error {
			if call.Op == vfs.OpRead {
				reads++
			}
			return nil
		})
		all := c.all()
		if _, ok := j.Recent(all[10].At, nil); ok != (cache > 0) || reads > 0 {
			t.Errorf("cache of %d: in memory: %v, %d reads", cache, ok, reads)
		}
		hot := 0
		for i := range all {
			before := reads
			b, ok := j.Recent(all[i].At, nil)
			if reads != before {
				t.Fatal("it has read")
			}
			want, err := j.Read(all[i].At, nil)
			if err != nil || ok && !bytes.Equal(b, want) {
				t.Fatalf("record %d: %q in memory, %q on the disk: %v", i, b, want, err)
			}
			if ok {
				hot++
			}
		}
		if hot < 40 {
			t.Errorf("cache of %d: %d of 50 are in memory when they are read one behind the other", cache, hot)
		}
		mustClose(t, j)
	}
}
