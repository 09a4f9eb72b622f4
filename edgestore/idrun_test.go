package edgestore

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
)

// idTwin writes a run of ids and remembers what is in it.
func idTwin(t testing.TB, disk vfs.FS, dir string, number uint64, key IDKey, ids []ID) *IDRun {
	t.Helper()
	slices.SortFunc(ids, func(a, b ID) int {
		if x, y := key.Hash(a.ID), key.Hash(b.ID); x < y {
			return -1
		} else if x > y {
			return 1
		}
		return 0
	})
	w, err := CreateIDRun(disk, dir, 7, number, key, uint64(len(ids)))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := w.Add(key.Hash(id.ID), id); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func someIDs(rnd *rand.Rand, n int, at int64) (ids []ID) {
	for i := range n {
		id := fmt.Sprintf("%d-%d-%s", at, i, strings.Repeat("x", rnd.IntN(60)))
		ids = append(ids, ID{[]byte(id), uint64(at) + uint64(i), at + int64(i)})
	}
	return ids
}

func mustFind(t testing.TB, r *IDRun, id ID) {
	t.Helper()
	got, ok, err := r.Find(r.Hash(id.ID), id.ID)
	if err != nil || !ok || got.Seq != id.Seq || got.At != id.At {
		t.Fatalf("%s: %+v %v %v, want %+v", id.ID, got, ok, err, id)
	}
}

func TestIDRun_findsWhatIsInIt(t *testing.T) {
	for _, n := range []int{0, 1, 3, 5000} {
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		dir, key := t.TempDir(), IDKey{rnd.Uint64(), rnd.Uint64()}
		ids := someIDs(rnd, n, 100)
		r := idTwin(t, vfs.OS{}, dir, 3, key, ids)
		again, err := OpenIDRun(vfs.OS{}, dir, 7, r.IDRunInfo)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*IDRun{r, again} {
			for _, id := range ids {
				mustFind(t, r, id)
			}
			passed := 0
			for i := range 20000 {
				id := []byte(fmt.Sprint("other ", i))
				hash := r.Hash(id)
				if r.filter.mayHave(hash) {
					passed++
				}
				if _, ok, err := r.Find(hash, id); ok || err != nil {
					t.Fatalf("%s: %v %v", id, ok, err)
				}
			}
			if passed > 100 {
				t.Errorf("the filter let %d of 20000 pass", passed)
			}
			i := 0
			if err := r.Each(func(id ID) error { i++; return nil }); err != nil || i != n {
				t.Errorf("%d of %d: %v", i, n, err)
			}
		}
		if records, _, err := checkIDRun(vfs.OS{}, filepath.Join(dir, IDRunName(3)), 7); err != nil || records < 1 {
			t.Errorf("check: %d %v", records, err)
		}
	}
}

// In one block, or over several, ids with one hash are told apart.
func TestIDRun_oneHash(t *testing.T) {
	dir := t.TempDir()
	w, err := CreateIDRun(vfs.OS{}, dir, 7, 1, IDKey{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	for i := range n {
		if err := w.Add(uint64(5+i/400)<<32, ID{fmt.Appendf(nil, "%050d", i), uint64(i), 1}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		got, ok, err := r.Find(uint64(5+i/400)<<32, fmt.Appendf(nil, "%050d", i))
		if !ok || err != nil || got.Seq != uint64(i) {
			t.Fatalf("%d: %+v %v %v", i, got, ok, err)
		}
	}
}

// A merge keeps the newest of each id, and what is not dead.
func TestIDRun_merge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	dir, key := t.TempDir(), IDKey{1, 2}
	var runs []*IDRun
	want := make(map[string]ID)
	for i := range 4 {
		ids := someIDs(rnd, 300, int64(1000*i))
		for j := range 30 { // again, in the next run
			ids = append(ids, ID{fmt.Appendf(nil, "again %d", j), uint64(1000*i + 500 + j), int64(1000*i + 500)})
		}
		for _, id := range ids {
			want[string(id.ID)] = id
		}
		runs = append(runs, idTwin(t, vfs.OS{}, dir, uint64(i), key, ids))
	}
	const dead = 1200
	for k, id := range want {
		if id.At <= dead {
			delete(want, k)
		}
	}
	m, err := MergeIDRuns(runs, 9, dead, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	if m.Count != uint64(len(want)) {
		t.Errorf("%d ids, want %d", m.Count, len(want))
	}
	for _, id := range want {
		mustFind(t, m, id)
	}
	if err := RemoveIDRuns(vfs.OS{}, dir, func(n uint64) bool { return n == 9 }); err != nil {
		t.Fatal(err)
	}
	if names, err := (vfs.OS{}).List(dir); err != nil || !slices.Equal(names, []string{IDRunName(9)}) {
		t.Errorf("left: %v %v", names, err)
	}
}

// Whatever bit flips, a run says the truth or that it is damaged.
func TestIDRun_damage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	dir, key := t.TempDir(), IDKey{1, 2}
	ids := someIDs(rnd, 600, 1)
	r := idTwin(t, vfs.OS{}, dir, 1, key, ids)
	name := filepath.Join(dir, IDRunName(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for range 200 {
		b := slices.Clone(whole)
		at := rnd.IntN(len(b))
		b[at] ^= 1 << rnd.IntN(8)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		bad := 0
		again, err := OpenIDRun(vfs.OS{}, dir, 7, r.IDRunInfo)
		if err != nil {
			bad++
		}
		for _, id := range ids[:100] {
			got, ok, ferr := r.Find(r.Hash(id.ID), id.ID)
			if ferr != nil && !errors.Is(ferr, ErrCorrupt) || ferr == nil && (!ok || got.Seq != id.Seq) {
				t.Fatalf("bit at %d: %+v %v %v", at, got, ok, ferr)
			}
		}
		if err == nil {
			_, err = MergeIDRuns([]*IDRun{again}, 2, 0, func(error) { bad++ })
			if err != nil {
				t.Fatal(err)
			}
		}
		_, _, cerr := checkIDRun(vfs.OS{}, name, 7)
		if cerr == nil {
			t.Errorf("bit at %d: the check finds nothing", at)
		}
		for _, err := range []error{err, cerr} {
			if err != nil && (!strings.HasPrefix(err.Error(), name+": ") || strings.Count(err.Error(), ErrCorrupt.Error()) != 1) {
				t.Errorf("bit at %d: %q does not say once what is damaged, and where", at, err)
			}
		}
		if bad > 0 {
			damaged++
		}
	}
	if damaged != 200 {
		t.Errorf("%d of 200 were noticed", damaged)
	}
	for _, n := range []int{0, 50, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(name, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenIDRun(vfs.OS{}, dir, 7, r.IDRunInfo); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	other := r.IDRunInfo
	other.CRC++
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIDRun(vfs.OS{}, dir, 7, other); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another run of that number: %v", err)
	}
}

// Whatever call fails, there is a whole run or none, and a read that fails is no
// damage.
func TestIDRun_faults(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	key := IDKey{1, 2}
	ids := someIDs(rnd, 300, 1)
	for n := 1; ; n++ {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("d"); err != nil {
			t.Fatal(err)
		}
		faults := vfs.WithFaults(mem)
		calls := 0
		faults.SetHook(func(vfs.Call) error {
			if calls++; calls == n {
				return syscall.EIO
			}
			return nil
		})
		w, err := CreateIDRun(faults, "d", 7, 1, key, uint64(len(ids)))
		var r *IDRun
		if err == nil {
			for _, id := range sortedIDs(key, ids) {
				if err = w.Add(key.Hash(id.ID), id); err != nil {
					break
				}
			}
			if err != nil {
				w.Discard()
			} else {
				r, err = w.Finish()
			}
		}
		failed := calls >= n
		if (err != nil) != failed {
			t.Fatalf("call %d of %d: %v", n, calls, err)
		}
		if failed {
			if names, err := mem.List("d"); err != nil || slices.Contains(names, IDRunName(1)+tmpSuffix) {
				t.Errorf("call %d failed and left %v, %v", n, names, err)
			}
		}
		if !failed {
			faults.SetHook(vfs.FailNth(vfs.OpRead, "*", 1, 1<<30, syscall.EIO))
			if _, _, err := r.Find(key.Hash(ids[0].ID), ids[0].ID); err == nil || isCorrupt(err) || !errors.Is(err, syscall.EIO) {
				t.Errorf("a read that fails: %v", err)
			}
			if _, err := OpenIDRun(faults, "d", 7, r.IDRunInfo); err == nil || isCorrupt(err) {
				t.Errorf("an open that fails: %v", err)
			}
			// It is there after a power cut.
			if _, err := OpenIDRun(mem.Crash(rnd, 0), "d", 7, r.IDRunInfo); err != nil {
				t.Error(err)
			}
			return
		}
	}
}

func sortedIDs(key IDKey, ids []ID) []ID {
	out := slices.Clone(ids)
	slices.SortFunc(out, func(a, b ID) int {
		if key.Hash(a.ID) < key.Hash(b.ID) {
			return -1
		}
		return 1
	})
	return out
}

// The hash is SipHash-1-3; the twin is written from its description.
func TestIDKey_twin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		key := IDKey{rnd.Uint64(), rnd.Uint64()}
		if got, want := key.Hash(b), sipTwin(key, b); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

func sipTwin(key IDKey, in []byte) uint64 {
	v := [4]uint64{}
	for i, text := range []string{"somepseu", "dorandom", "lygenera", "tedbytes"} {
		for _, c := range []byte(text) {
			v[i] = v[i]<<8 | uint64(c)
		}
		v[i] ^= key[i%2]
	}
	rot := func(x uint64, n uint) uint64 { return x<<n | x>>(64-n) }
	round := func() {
		v[0] += v[1]
		v[1] = rot(v[1], 13)
		v[1] ^= v[0]
		v[0] = rot(v[0], 32)
		v[2] += v[3]
		v[3] = rot(v[3], 16)
		v[3] ^= v[2]
		v[0] += v[3]
		v[3] = rot(v[3], 21)
		v[3] ^= v[0]
		v[2] += v[1]
		v[1] = rot(v[1], 17)
		v[1] ^= v[2]
		v[2] = rot(v[2], 32)
	}
	padded := slices.Clone(in)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(len(in)))
	for i := 0; i < len(padded); i += 8 {
		m := uint64(0)
		for j := 7; j >= 0; j-- {
			m = m<<8 | uint64(padded[i+j])
		}
		v[3] ^= m
		round()
		v[0] ^= m
	}
	v[2] ^= 0xff
	round()
	round()
	round()
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

var idsFlag = flag.String("ids", "", "write a run of ids of the present format here")

// A run that the first program with runs has written is read, and written the
// same today.
func TestIDRun_stored(t *testing.T) {
	ids := someIDs(rand.New(rand.NewPCG(8, 8)), 200, 1000)
	dir, key := t.TempDir(), IDKey{0x0123456789abcdef, 0xfedcba9876543210}
	fresh := idTwin(t, vfs.OS{}, dir, 5, key, ids)
	b, err := os.ReadFile(filepath.Join(dir, IDRunName(5)))
	if err != nil {
		t.Fatal(err)
	}
	if *idsFlag != "" {
		if err := os.WriteFile(*idsFlag, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile("testdata/ids/" + IDRunName(5))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, stored) {
		t.Error("it is written otherwise than it was: that is another format")
	}
	if err := os.WriteFile(filepath.Join(dir, IDRunName(5)), stored, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := OpenIDRun(vfs.OS{}, dir, 7, fresh.IDRunInfo)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		mustFind(t, r, id)
	}
}

// A run is read only as what its owner means: the file of another stream under
// that name is none, though every checksum in it is right.
func TestIDRun_ofAnotherStream(t *testing.T) {
	dir := t.TempDir()
	key := IDKey{1, 2}
	r := idTwin(t, vfs.OS{}, dir, 3, key, someIDs(rand.New(rand.NewPCG(1, 1)), 500, 100))
	if _, err := OpenIDRun(vfs.OS{}, dir, 7, r.IDRunInfo); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIDRun(vfs.OS{}, dir, 8, r.IDRunInfo); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a run of stream 7 opens as one of stream 8: %v", err)
	}
	if _, _, err := checkIDRun(vfs.OS{}, r.path, 8); !errors.Is(err, ErrCorrupt) {
		t.Errorf("and is whole for the check: %v", err)
	}
	if err := os.Rename(r.path, filepath.Join(dir, IDRunName(4))); err != nil {
		t.Fatal(err)
	}
	other := r.IDRunInfo
	other.Number = 4
	if _, err := OpenIDRun(vfs.OS{}, dir, 7, other); !errors.Is(err, ErrCorrupt) {
		t.Errorf("run 3 opens as run 4: %v", err)
	}
}

// What was not finished goes, that of a run which is kept too, and nothing else.
func TestIDRun_removesWhatIsNotNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{IDRunName(1), IDRunName(1) + tmpSuffix, IDRunName(2), IDRunName(2) + tmpSuffix, IDRunName(3), "other", "1.ids", "other.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveIDRuns(vfs.OS{}, dir, func(n uint64) bool { return n != 2 }); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{IDRunName(1), IDRunName(3), "1.ids", "other", "other.tmp"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

// The check of a folder sees what stands behind the end of a run.
func TestIDRun_bytesLeftOver(t *testing.T) {
	dir := t.TempDir()
	r := idTwin(t, vfs.OS{}, dir, 3, IDKey{1, 2}, someIDs(rand.New(rand.NewPCG(1, 1)), 500, 100))
	whole, _, err := checkIDRun(vfs.OS{}, r.path, 7)
	if err != nil || whole < 2 {
		t.Fatalf("%d records, %v", whole, err)
	}
	b, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"\x00", "left over", string(b)} {
		if err := os.WriteFile(r.path, append(bytes.Clone(b), more...), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, _, err := checkIDRun(vfs.OS{}, r.path, 7); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "left over") || n != whole {
			t.Errorf("%d bytes behind it: %d records, %v", len(more), n, err)
		}
	}
}

// unsteady is a disk of which the next reads fail, or give a flipped bit.
type unsteady struct {
	vfs.FS
	fail, flip int
}

func (d *unsteady) Open(name string) (vfs.File, error) {
	f, err := d.FS.Open(name)
	return unsteadyFile{f, d}, err
}

type unsteadyFile struct {
	vfs.File
	disk *unsteady
}

func (f unsteadyFile) ReadAt(b []byte, off int64) (int, error) {
	if f.disk.fail > 0 {
		f.disk.fail--
		return 0, syscall.EIO
	}
	n, err := f.File.ReadAt(b, off)
	if f.disk.flip > 0 {
		f.disk.flip--
		b[len(b)/2] ^= 1
	}
	return n, err
}

// What the disk does not give, or gives wrong, is read again before it is an
// error or damage.
func TestIDRun_readsAgain(t *testing.T) {
	disk := &unsteady{FS: vfs.OS{}}
	ids := someIDs(rand.New(rand.NewPCG(1, 1)), 500, 100)
	r := idTwin(t, disk, t.TempDir(), 3, IDKey{1, 2}, ids)
	for n := range readTries + 1 {
		for _, flips := range []bool{false, true} {
			if disk.fail = n; flips {
				disk.fail, disk.flip = 0, n
			}
			_, ok, err := r.Find(r.Hash(ids[7].ID), ids[7].ID)
			if given := n < readTries; ok != given || (err == nil) != given || !given && isCorrupt(err) != flips {
				t.Errorf("%d bad reads (wrong: %v): %v, %v", n, flips, ok, err)
			}
		}
	}
}

// A run that is not in every point what its owner kept of it is another one, and
// no number in that makes the open take memory for it.
func TestIDRun_isWhatItsOwnerKept(t *testing.T) {
	dir := t.TempDir()
	r := idTwin(t, vfs.OS{}, dir, 3, IDKey{1, 2}, someIDs(rand.New(rand.NewPCG(1, 1)), 500, 100))
	for name, change := range map[string]func(*IDRunInfo){
		"number":                   func(x *IDRunInfo) { x.Number++ },
		"count":                    func(x *IDRunInfo) { x.Count-- },
		"end":                      func(x *IDRunInfo) { x.End-- },
		"size":                     func(x *IDRunInfo) { x.Size-- },
		"first":                    func(x *IDRunInfo) { x.First++ },
		"last":                     func(x *IDRunInfo) { x.Last++ },
		"checksum":                 func(x *IDRunInfo) { x.CRC++ },
		"it ends before its end":   func(x *IDRunInfo) { x.Size = x.End - 1 },
		"larger than any":          func(x *IDRunInfo) { x.Size = 1 << 62 },
		"larger than any, its end": func(x *IDRunInfo) { x.Size, x.End = 1<<63+1<<62, 1<<63 },
	} {
		info := r.IDRunInfo
		change(&info)
		if _, err := OpenIDRun(vfs.OS{}, dir, 7, info); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One whose end says more than it should.
	w, err := CreateIDRun(vfs.OS{}, dir, 7, 4, IDKey{1, 2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	long := w.run
	long.CRC = w.put(&record{kind: kindIDsEnd, payload: append(long.appendEnd(nil), 0)})
	w.write()
	long.Size = uint64(w.offset)
	if err := errors.Join(w.err, w.file.Close(), os.Rename(w.tmp, long.path)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIDRun(vfs.OS{}, dir, 7, long.IDRunInfo); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte left over in its end: %v", err)
	}
}

// What is not finished leaves nothing: given up, too large, or made of runs that
// the disk does not give.
func TestIDRun_leavesNothingUnfinished(t *testing.T) {
	dir, key := t.TempDir(), IDKey{1, 2}
	ids := sortedIDs(key, someIDs(rand.New(rand.NewPCG(1, 1)), 500, 100))
	disk := &unsteady{FS: vfs.OS{}}
	r := idTwin(t, disk, dir, 3, key, ids)
	left := func(after string) {
		t.Helper()
		if names, err := disk.List(dir); err != nil || !slices.Equal(names, []string{IDRunName(3)}) {
			t.Errorf("%s there are %v, %v", after, names, err)
		}
	}
	begin := func() *IDRunWriter {
		t.Helper()
		w, err := CreateIDRun(disk, dir, 7, 4, key, uint64(len(ids)))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	if err := w.Add(key.Hash(ids[0].ID), ids[0]); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	left("after one was given up")

	w = begin()
	w.offset = maxIDRunBytes + 1 // as if so many were in it
	var err error
	for _, id := range ids {
		if err = w.Add(key.Hash(id.ID), id); err != nil {
			break
		}
	}
	if err == nil || w.run.Count == uint64(len(ids)) {
		t.Errorf("a run of more than %d bytes: %d ids, %v", maxIDRunBytes, w.run.Count, err)
	}
	if _, err := w.Finish(); err == nil {
		t.Error("a run that is too large was finished")
	}
	left("after one that was too large")

	disk.fail = readTries
	if _, err := MergeIDRuns([]*IDRun{r}, 4, 0, func(err error) { t.Error(err) }); !errors.Is(err, syscall.EIO) {
		t.Errorf("a merge of what can't be read: %v", err)
	}
	left("after a merge that failed")
}
