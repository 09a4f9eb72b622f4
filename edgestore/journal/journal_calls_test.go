package journal

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/frondmq/frond/core/testkit"
	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/vfs"
)

var rewriteFlag = flag.Bool("rewrite", false, "write the golden files anew")

// callLog writes down every call that changes something.
type callLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *callLog) hook(c vfs.Call) error {
	if c.Op == vfs.OpRead || c.Op == vfs.OpWrite && c.Name == freshName {
		return nil
	}
	line := c.String()
	if c.Op == vfs.OpSync && c.Name == freshName {
		line += " (after each step of zeros)"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.lines); n > 0 && l.lines[n-1] == line {
		return nil
	}
	l.lines = append(l.lines, line)
	return nil
}

// take returns what was written down since; calls on the active segments come
// first, then those of the keeper, which happen beside them.
func (l *callLog) take(active ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first, then []string
	for _, line := range l.lines {
		if slices.ContainsFunc(active, func(name string) bool { return strings.Contains(line, name) }) {
			first = append(first, "  "+line)
		} else {
			then = append(then, "  "+line)
		}
	}
	l.lines = nil
	if len(first) > 0 && len(then) > 0 {
		first = append(first, "  -- beside that, the keeper:")
	}
	return append(first, then...)
}

func TestJournal_ordersItsCalls(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	var log callLog
	faults.SetHook(log.hook)
	o := memOptions(faults)
	o.KeepFree = 1
	var out []string
	tell := func(what string, active ...string) {
		active = append(active, fmt.Sprint("write ", metaName, " ", markPage), fmt.Sprint("write ", metaName, " ", mark2Page))
		out = append(out, what)
		out = append(out, log.take(active...)...)
	}
	tended := func(j *Journal) {
		t.Helper()
		testkit.Eventually(t, "the keeper", func() bool {
			s := j.shelf
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.mu.next != nil && s.mu.reserve && s.mu.ballast && len(s.mu.dead) == 0
		})
	}
	seen := func(line string) func() bool {
		return func() bool {
			log.mu.Lock()
			defer log.mu.Unlock()
			return slices.ContainsFunc(log.lines, func(l string) bool { return strings.HasPrefix(l, line) })
		}
	}

	j, _ := mustOpen(t, o)
	tell("open a new folder")
	var c collector
	j.Start(c.apply)
	tended(j)
	one := segmentName(1)
	testkit.Eventually(t, "the idle mark", seen(fmt.Sprintf("write %s %d+512", one, segmentHeader+sector)))
	tell("start: the next segment, the reserve, the ballast", one)

	mustAppend(t, j, strings.Repeat("x", 1000))
	mustSync(t, j)
	testkit.Eventually(t, "the idle mark", seen(fmt.Sprintf("write %s %d+512", one, segmentHeader+sector+3*sector)))
	tell("commit a group, then say that it was synced", one)

	mustAppend(t, j, strings.Repeat("y", minSegment-segmentHeader-2048))
	mustSync(t, j)
	tended(j)
	two := segmentName(2)
	testkit.Eventually(t, "the idle mark", seen("write "+two+" 64000+512"))
	tell("roll to the next segment", one, two)

	j.Release(1)
	mustAppend(t, j, strings.Repeat("z", minSegment-segmentHeader-2048))
	mustSync(t, j)
	tended(j)
	testkit.Eventually(t, "the idle mark", seen("write "+segmentName(3)+" 64000+512"))
	tell("release the first segment and roll: it comes back as the fourth", two, segmentName(3))

	mustClose(t, j)
	tell("close")
	o.FS = faults
	j, _ = mustOpen(t, o)
	tell("open again")
	mustClose(t, j)

	golden := filepath.Join("testdata", "calls.txt")
	got := strings.Join(out, "\n") + "\n"
	if *rewriteFlag {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the calls changed; if that is meant, run with -rewrite. Now:\n%s", got)
	}
}

// The golden file shows the laws; these are checked whatever it says.
func TestJournal_neverNamesAnUnfinishedFile(t *testing.T) {
	mem := vfs.NewMem()
	faults := vfs.WithFaults(mem)
	var mu sync.Mutex
	synced := map[string]bool{}
	faults.SetHook(func(c vfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		switch c.Op {
		case vfs.OpCreate, vfs.OpWrite:
			synced[c.Name] = false
		case vfs.OpSync:
			synced[c.Name] = true
		case vfs.OpRename:
			if (c.Name == freshName || c.Name == metaTmp) && !synced[c.Name] {
				t.Errorf("%s without a sync", c)
			}
		}
		return nil
	})
	j, _ := mustOpen(t, memOptions(faults))
	var c collector
	j.Start(c.apply)
	for range 200 {
		mustAppend(t, j, strings.Repeat("x", 3000))
		mustSync(t, j)
		j.Release(edgestore.LSN(len(c.all()) / 2))
	}
	mustClose(t, j)
}
