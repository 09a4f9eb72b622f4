package edgestore_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/frondmq/frond/edgestore"
	"github.com/frondmq/frond/edgestore/edgestoretest"
)

// What a salvage has lost comes again from elsewhere: all is counted, written and
// found again, and what was offered beside it is not taken.
func TestFileStore_lostMessagesComeAgain(t *testing.T) {
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 3}
	st := build(t, o, 3000)
	whole := readDir(t, o.Dir)
	name := filepath.Join(o.Dir, "00000001.chunks")
	rnd := rand.New(rand.NewPCG(1, 2))
	filled := 0
	for round := range 30 {
		writeDir(t, o.Dir, whole)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch round {
		case 0:
			edgestore.DamageRecords(t, name, 'c') // every message
		case 1:
			edgestore.DamageRecords(t, name, 'g') // what was deleted, also of what chunks answer for
		default:
			for range 1 + rnd.IntN(6) {
				rnd := 4 + rnd.IntN(len(b)>>12-4)
				for i := range 4096 {
					b[rnd<<12+i] ^= 0xff
				}
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		edgestore.DamageRecords(t, name, 'd') // so that the files are searched
		asked, older := false, false
		with := o
		with.Compression = round%2 == 0
		with.Blobs = new(edgestoretest.Blobs)
		with.Again = func(_ edgestore.Chain, last uint64, lost []edgestore.SeqRange, value func(string) ([]byte, error), give func(*edgestore.Msg) error) error {
			asked, older = true, last < st.last
			if older { // the newest state was hit, and the one before counts
				return nil
			}
			one, _ := value("c/0")
			none, err := value("none")
			if last != st.last || round == 0 && string(one) != "v" || none != nil || err != nil {
				t.Errorf("last %d, values %q, %q, %v", last, one, none, err)
			}
			for seq := uint64(1); seq <= last; seq++ { // also what is not lost
				if m := st.msgs[seq]; st.live[seq] || round == 1 {
					if err := give(&m); err != nil {
						return err
					}
				}
			}
			return nil
		}
		s, err := edgestore.OpenFileStore(with)
		if round > 1 && errors.Is(err, edgestore.ErrCorrupt) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if !asked || older || opened(s).Stateless {
			met, short := opened(s), s.State().LastSeq < st.last
			switch {
			case met.Salvaged == nil || asked && !met.Stateless && older != short:
				t.Errorf("round %d: an older store is not told: %+v, %+v", round, met, s.State())
			case !asked && !met.Stateless && !short: // nobody is asked where nothing is lost
				if lost := st.verify(t, s); lost > 0 {
					t.Errorf("round %d: %d are lost, and nobody was asked for them", round, lost)
				}
			}
			s.Close()
			continue
		}
		filled++
		all := func() {
			t.Helper()
			if lost := st.verify(t, s); lost > 0 {
				t.Errorf("round %d: %d are lost", round, lost)
			}
			checkCounts(t, s)
		}
		all()
		if tmp, err := filepath.Glob(filepath.Join(o.Dir, "*.tmp")); err != nil || len(tmp) > 0 {
			t.Errorf("left are %q, %v", tmp, err)
		}
		s.Seal(edgestore.LSN(st.last+1), edgestore.Chain{}, []edgestore.Aux{{Key: "c", Value: []byte("w")}})
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		with.Again = nil
		s = mustOpen(t, with)
		all()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if filled < 10 {
		t.Errorf("only %d rounds had something lost", filled)
	}
}

// Whoever has the messages fails, or gives them in another order: none is taken,
// and they are told lost.
func TestFileStore_lostMessagesDoNotComeAgain(t *testing.T) {
	o := edgestore.FileOptions{Dir: filepath.Join(t.TempDir(), "s"), Incarnation: 3}
	st := build(t, o, 1000)
	whole := readDir(t, o.Dir)
	for _, backwards := range []bool{false, true} {
		writeDir(t, o.Dir, whole)
		name := filepath.Join(o.Dir, "00000001.chunks")
		edgestore.DamageRecords(t, name, 'c')
		edgestore.DamageRecords(t, name, 'd')
		with := o
		with.Blobs = new(edgestoretest.Blobs)
		with.Again = func(_ edgestore.Chain, last uint64, _ []edgestore.SeqRange, _ func(string) ([]byte, error), give func(*edgestore.Msg) error) error {
			for seq := uint64(1); seq < 200; seq++ {
				at := seq
				if backwards {
					at = 200 - seq
				}
				if m := st.msgs[at]; st.live[at] {
					if err := give(&m); err != nil {
						return err
					}
				}
			}
			if backwards {
				return nil
			}
			return errors.New("no more")
		}
		s := mustOpen(t, with)
		if lost := st.verify(t, s); lost != len(st.live) {
			t.Errorf("%d of %d are lost", lost, len(st.live))
		}
		checkCounts(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
