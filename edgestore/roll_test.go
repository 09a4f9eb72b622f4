package edgestore_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// asOf is what a store says of itself at one moment.
type asOf struct {
	state    edgestore.State
	deleted  []uint64
	damage   []edgestore.SeqRange
	subjects map[string]edgestore.SubjectState
}

func see(s edgestore.Store) asOf {
	a := asOf{s.State(), s.Deleted(-1), s.Damage(), map[string]edgestore.SubjectState{}}
	_ = s.Subjects(">", func(name string, st edgestore.SubjectState) bool { a.subjects[name] = st; return true })
	return a
}

func (a asOf) same(t *testing.T, when string, got asOf) {
	t.Helper()
	if got.state != a.state || !slices.Equal(got.damage, a.damage) || !reflect.DeepEqual(got.subjects, a.subjects) {
		t.Errorf("%s:\n%+v %v %v, want\n%+v %v %v", when, got.state, got.damage, got.subjects, a.state, a.damage, a.subjects)
	}
	if !slices.Equal(got.deleted, a.deleted) {
		t.Errorf("%s: %d are deleted, want %d", when, len(got.deleted), len(a.deleted))
	}
}

// A new file begins with the records of the one before. What of them is damaged
// there is written anew from memory, as of the seal, however far the memory has
// gone on since.
func TestFileStore_newFileWithoutDamagedRecords(t *testing.T) {
	for name, kind := range map[string]byte{"gaps": 'g', "losses": 'l', "more losses": 'l', "subjects": 's', "directory": 'd', "value": 'a'} {
		for how, damage := range map[string]func(testing.TB, string, byte) int{"damaged": edgestore.DamageRecords, "not in the tree": edgestore.LoseKeys} {
			t.Run(name+" "+how, func(t *testing.T) {
				blobs, told := new(edgestoretest.Blobs), 0
				o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 7, Blobs: blobs, MaxFileBytes: 200 << 10,
					WriteFailed: func(error) { told++ }}
				f := &filler{t: t, s: mustOpen(t, o), blobs: blobs}
				f.add(300)
				remove := func(s edgestore.Store, first, last uint64) {
					t.Helper()
					for seq := first; seq <= last; seq++ {
						if _, ok, err := s.Remove(seq); err != nil || !ok {
							t.Fatalf("remove %d: %v, %v", seq, ok, err)
						}
					}
				}
				remove(f.s, 10, 19)
				if _, err := f.s.Lose(301, 305); err != nil {
					t.Fatal(err)
				}
				f.last = 305
				f.add(5)
				f.last = 3<<16 + 99 // whole pages of gaps
				f.add(20)
				f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, []edgestore.Aux{{Key: "c/1", Value: []byte("v")}})
				if err := f.s.Flush(); err != nil {
					t.Fatal(err)
				}
				first := filepath.Join(o.Dir, "00000001.chunks")
				if damage(t, first, kind) == 0 {
					t.Fatal("there is no such record")
				}

				if name != "directory" { // a message would change it
					f.add(1)
				}
				if name == "more losses" {
					if _, err := f.s.Lose(f.last+1, f.last+2); err != nil {
						t.Fatal(err)
					}
				}
				want := see(f.s)
				f.s.Seal(edgestore.LSN(f.last), edgestore.Chain{}, nil)
				again := func(s edgestore.Store) {
					t.Helper()
					remove(s, 50, 52)
					remove(s, 54, 54)
					if _, err := s.Compact(30); err != nil {
						t.Fatal(err)
					}
					s.Skip(want.state.LastSeq+5, want.state.LastTime.UnixNano())
				}
				again(f.s)
				after := see(f.s)
				if err := f.s.Flush(); err != nil {
					t.Fatal(err)
				}
				if files := readDir(t, o.Dir); files["00000002.chunks"] == nil {
					t.Fatal("no file was begun")
				}
				after.same(t, "after the flush", see(f.s))
				f.s.Close()
				files := readDir(t, o.Dir)

				s := mustOpen(t, o)
				if op := s.(interface{ Opening() edgestore.Opening }).Opening(); op.Salvaged != nil {
					t.Fatalf("the new file is damaged: %v", op.Salvaged)
				}
				want.same(t, "after a restart", see(s))
				checkCounts(t, s)
				values := 0
				if err := s.Aux("", func(string, []byte) error { values++; return nil }); err != nil {
					t.Fatal(err)
				}
				if lost := name == "value" && how == "damaged"; lost != (told > 0) || lost != (values == 0) {
					t.Errorf("%d values, %d told", values, told)
				}
				again(s)
				after.same(t, "applied again", see(s))
				s.Close()
				writeDir(t, o.Dir, files)
				g := &filler{t: t, s: mustOpen(t, o), blobs: blobs, last: want.state.LastSeq}
				g.add(3) // something else follows
				if n := g.s.State().Msgs; n != want.state.Msgs+3 {
					t.Errorf("%d messages, want %d and 3", n, want.state.Msgs)
				}
				checkCounts(t, g.s)
			})
		}
	}
}
