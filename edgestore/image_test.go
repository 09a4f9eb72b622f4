package edgestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// buildSmall makes a closed store of one file that is read as a whole: with
// gaps, named values, several runs and free pages.
func buildSmall(t testing.TB, o edgestore.FileOptions) (path string) {
	t.Helper()
	blobs := new(edgestoretest.Blobs)
	o.Blobs = blobs
	s := mustOpen(t, o)
	for i := range 24 {
		m := edgestore.Msg{Seq: uint64(i + 1), Time: int64(i) * 1000, Subject: fmt.Sprintf("s.%d", i%7), Body: bytes.Repeat([]byte{byte(i)}, 100)}
		if err := s.Append(&m, blobs.Add(&m)); err != nil {
			t.Fatal(err)
		}
		if i%6 < 5 {
			continue
		}
		if _, _, err := s.Remove(uint64(i - 2)); err != nil {
			t.Fatal(err)
		}
		aux := []edgestore.Aux{{Key: "config", Value: bytes.Repeat([]byte("c"), 300+i)}}
		for c := range 6 {
			aux = append(aux, edgestore.Aux{Key: fmt.Sprintf("c/%d", 6*i+c), Value: bytes.Repeat([]byte("v"), 100)})
		}
		s.Seal(edgestore.LSN(i+1), edgestore.Chain{Seat: uint64(i)}, aux)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(o.Dir, "00000001.chunks")
}

// asOpened is what can be told of a store after its open.
type asOpened struct {
	refused bool
	state   edgestore.State
	applied edgestore.LSN
	chain   edgestore.Chain
	aux     []edgestore.Aux
	auxBad  bool
	lost    []edgestore.SeqRange
	read    []uint64 // messages that can be read
	whole   bool     // nothing was salvaged
	files   []string
}

func look(t testing.TB, o edgestore.FileOptions) (got asOpened) {
	t.Helper()
	s, err := edgestore.OpenFileStore(o)
	if err != nil {
		if !errors.Is(err, edgestore.ErrCorrupt) {
			t.Fatal(err)
		}
		return asOpened{refused: true}
	}
	defer s.Close()
	got = asOpened{state: s.State(), applied: s.Applied(), chain: s.Chain(), lost: s.Damage()}
	met := s.(interface{ Opening() edgestore.Opening }).Opening()
	got.whole = met.Salvaged == nil
	err = s.Aux("", func(key string, value []byte) error {
		got.aux = append(got.aux, edgestore.Aux{Key: key, Value: bytes.Clone(value)})
		return nil
	})
	if got.auxBad = isCorrupt(err); err != nil && !got.auxBad {
		t.Fatal(err)
	}
	for name := range readDir(t, o.Dir) {
		got.files = append(got.files, name)
	}
	slices.Sort(got.files)
	for seq := range got.state.LastSeq + 1 {
		if _, _, err := s.Load(seq, nil); err == nil {
			got.read = append(got.read, seq)
		}
	}
	return got
}

func isCorrupt(err error) bool { return errors.Is(err, edgestore.ErrCorrupt) }

// TestImage_isNotOpened: a store with a small file is known after one read, and
// bbolt opens the file when somebody writes or reads a message.
func TestImage_isNotOpened(t *testing.T) {
	pool := edgestore.NewFilePool(8)
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 9, Files: pool}
	path := buildSmall(t, o)
	s := mustOpen(t, o)
	if err := s.Aux("", func(string, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := pool.Open(); n != 0 || s.State().Msgs != 20 {
		t.Fatalf("%d files are open, %+v", n, s.State())
	}
	checkCounts(t, s)
	if n := pool.Open(); n != 1 {
		t.Fatalf("%d files are open after reading", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// One that is larger is opened as ever.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(68<<10), f.Close()); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if n := pool.Open(); n != 1 || s.State().Msgs != 20 {
		t.Fatalf("%d files are open, %+v", n, s.State())
	}
}

// TestImage_auxAfterFlush: what was read at the open is not told when there is
// something newer.
func TestImage_auxAfterFlush(t *testing.T) {
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 9, Files: edgestore.NewFilePool(8)}
	buildSmall(t, o)
	s := mustOpen(t, o)
	s.Seal(100, edgestore.Chain{}, []edgestore.Aux{{Key: "config", Value: []byte("new")}})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err := s.Aux("", func(key string, value []byte) error { got[key] = string(value); return nil })
	if err != nil || got["config"] != "new" || len(got) != 25 {
		t.Fatalf("%v, %v", got, err)
	}
}

// TestImage_damage: a store that is read as a whole notices what one that is
// opened by bbolt notices, and comes to the same.
func TestImage_damage(t *testing.T) {
	dir := t.TempDir()
	plain := edgestore.FileOptions{Dir: filepath.Join(dir, "plain"), Incarnation: 9}
	pooled := plain
	pooled.Dir, pooled.Files = filepath.Join(dir, "pooled"), edgestore.NewFilePool(4)
	path := buildSmall(t, plain)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := *seedFlag + 3
	rnd := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d, %d bytes", seed, len(good))
	hurt := 0
	try := func(what string, bad []byte) {
		t.Helper()
		files := map[string][]byte{filepath.Base(path): bad}
		writeDir(t, plain.Dir, files)
		writeDir(t, pooled.Dir, files)
		a, b := look(t, plain), look(t, pooled)
		if !reflect.DeepEqual(a, b) {
			for i := range a.aux {
				a.aux[i].Value = nil
			}
			for i := range b.aux {
				b.aux[i].Value = nil
			}
			t.Errorf("%s:\nby bbolt  %+v\nby a read %+v", what, a, b)
		}
		if !a.whole {
			hurt++
		}
	}
	try("nothing", good)
	for range *flipsFlag * 2 {
		bad := slices.Clone(good)
		at, bit := flipPlace(rnd, bad), rnd.IntN(8)
		bad[at] ^= 1 << bit
		try(fmt.Sprintf("byte %d bit %d", at, bit), bad)
	}
	for n := range len(good) / 4096 {
		try(fmt.Sprintf("cut to %d pages", n), slices.Clone(good[:n*4096]))
		bad := slices.Clone(good)
		clear(bad[n*4096:][:4096])
		try(fmt.Sprintf("page %d is zeros", n), bad)
		bad = slices.Clone(good)
		copy(bad[n*4096:][:4096], good[rnd.IntN(len(good)/4096)*4096:])
		try(fmt.Sprintf("page %d is another", n), bad)
	}
	if hurt == 0 {
		t.Error("no damage did any harm")
	}
}
