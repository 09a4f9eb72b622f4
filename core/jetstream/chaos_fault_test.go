package jetstream

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/frondmq/frond/edgestore/vfs"
)

// chaosFault is one way in which a disk fails. Each run has one at most.
type chaosFault struct {
	name string
	// live arms a failing call while the engine runs; nil: none.
	live func(d *chaosDisk)
	// after damages the picture that the crash left. It reports whether there
	// was anything to damage, and whether that was in the excused group.
	after func(d *chaosDisk, tail *chaosTail) (done, excused bool)
	// start arms a failing call for the restart; it may refuse then, and must
	// not have changed anything.
	start func(d *chaosDisk)
	// drains: what live arms strikes in drains, so there are some.
	drains bool
	// fresh: it strikes the first flush of a stream, so there is a new one.
	fresh bool
	// filesGo: see chaosModel.
	filesGo bool
	// harmless: nothing may be lost, and nothing told lost.
	harmless bool
}

const diskPage = 4096

// chaosFaults are the classes. The first is no fault at all.
func chaosFaults() []chaosFault {
	inJournal := func(match string, damage func(rnd *rand.Rand, b []byte) (lo, hi int)) func(*chaosDisk, *chaosTail) (bool, bool) {
		return func(d *chaosDisk, tail *chaosTail) (bool, bool) { return d.damageJournal(match, tail, damage) }
	}
	inStores := func(match string, damage func(rnd *rand.Rand, b []byte) (lo, hi int)) func(*chaosDisk, *chaosTail) (bool, bool) {
		return func(d *chaosDisk, _ *chaosTail) (bool, bool) { return d.damageStore(match, damage), false }
	}
	fails := func(op vfs.Op, match string, count int) func(d *chaosDisk) {
		return func(d *chaosDisk) {
			d.faults.SetHook(vfs.FailNth(op, match, 1+d.rnd.IntN(6), count, syscall.EIO))
		}
	}
	failsForIDs := func(op vfs.Op) func(d *chaosDisk) {
		return func(d *chaosDisk) {
			d.idFaults.SetHook(vfs.FailNth(op, "*.ids*", 1+d.rnd.IntN(3), 1<<30, syscall.EIO))
		}
	}
	const forGood = 1 << 30
	inStore := func(op vfs.Op, catalogue bool, count int) func(d *chaosDisk) {
		return func(d *chaosDisk) {
			nth := 1
			switch { // some are few
			case op == vfs.OpRename:
			case catalogue:
				nth += d.rnd.IntN(2)
			default:
				nth += d.rnd.IntN(6)
			}
			d.stores.arm(&storeFault{op, catalogue, nth, count})
		}
	}
	return []chaosFault{
		{harmless: true, name: "none"},
		{name: "journal: one bit", after: inJournal("*.seg", flipBit)},
		{name: "journal: one page zeroed", after: inJournal("*.seg", zeroPage)},
		{name: "journal: one sector torn", after: inJournal("*.seg", tearSector)},
		{filesGo: true, name: "journal: file cut", after: cutJournalFile("*.seg")},
		{filesGo: true, name: "journal: file gone", after: dropJournalFile("*.seg")},
		{harmless: true, name: "journal: id damaged", after: inJournal("journal.id", flipBit)},
		{harmless: true, name: "journal: id gone", after: dropJournalFile("journal.id")},
		{name: "journal: write fails once", live: fails(vfs.OpWrite, "*.seg", 1)},
		{name: "journal: write fails for good", live: fails(vfs.OpWrite, "*.seg", forGood)},
		{name: "journal: sync fails once", live: fails(vfs.OpSync, "*.seg", 1)},
		{name: "journal: sync fails for good", live: fails(vfs.OpSync, "*.seg", forGood)},
		{name: "journal: rename fails once", live: fails(vfs.OpRename, "*", 1)},
		{name: "journal: read fails once", live: fails(vfs.OpRead, "*.seg", 1)},
		{name: "journal: read fails at the start", start: fails(vfs.OpRead, "*", 1)},
		{name: "journal: reads fail at the start", start: fails(vfs.OpRead, "*.seg", forGood)},
		{name: "store: one bit", after: inStores("*.chunks", flipBit)},
		{name: "store: one page zeroed", after: inStores("*.chunks", zeroPage)},
		{name: "store: file cut", after: cutStoreFile("*.chunks")},
		{name: "store: file gone", after: dropStoreFile("*.chunks")},
		{name: "store: folder gone", after: dropStoreFolder},
		{drains: true, name: "store: write fails once", live: inStore(vfs.OpWrite, false, 1)},
		{drains: true, name: "store: write fails for good", live: inStore(vfs.OpWrite, false, forGood)},
		{drains: true, name: "store: sync fails once", live: inStore(vfs.OpSync, false, 1)},
		{drains: true, name: "store: sync fails for good", live: inStore(vfs.OpSync, false, forGood)},
		{drains: true, fresh: true, name: "store: rename fails once", live: inStore(vfs.OpRename, false, 1)},
		{drains: true, name: "store: read fails once", live: inStore(vfs.OpRead, false, 1)},
		{drains: true, name: "store: read fails for good", live: inStore(vfs.OpRead, false, forGood)},
		{name: "store: read fails at the start", start: inStore(vfs.OpRead, false, 1)},
		{name: "store: write fails at the start", start: inStore(vfs.OpWrite, false, 1)},
		{drains: true, name: "catalogue: write fails once", live: inStore(vfs.OpWrite, true, 1)},
		{drains: true, name: "catalogue: sync fails once", live: inStore(vfs.OpSync, true, 1)},
		{drains: true, name: "catalogue: sync fails for good", live: inStore(vfs.OpSync, true, forGood)},
		{name: "catalogue: read fails at the start", start: inStore(vfs.OpRead, true, 1)},
		{name: "catalogue: one bit", after: inStores("catalogue.db", flipBit)},
		{name: "catalogue: one page zeroed", after: inStores("catalogue.db", zeroPage)},
		{name: "catalogue: cut", after: cutStoreFile("catalogue.db")},
		{name: "catalogue: gone", after: dropStoreFile("catalogue.db")},
		{name: "ids: one bit", after: inStores("*.ids", flipBit)},
		{name: "ids: file gone", after: dropStoreFile("*.ids")},
		{name: "ids: reads fail for good", live: failsForIDs(vfs.OpRead)},
		{name: "ids: sync fails for good", live: failsForIDs(vfs.OpSync)},
	}
}

// The damages change b and tell where.

func flipBit(rnd *rand.Rand, b []byte) (lo, hi int) {
	// Where something stands: zeros are most of a segment, and mean nothing.
	at := rnd.IntN(len(b))
	for range 64 {
		if b[at] != 0 {
			break
		}
		at = rnd.IntN(len(b))
	}
	b[at] ^= 1 << rnd.IntN(8)
	return at, at + 1
}

func zeroPage(rnd *rand.Rand, b []byte) (lo, hi int) {
	at := rnd.IntN(len(b)) / diskPage * diskPage
	hi = min(at+diskPage, len(b))
	clear(b[at:hi])
	return at, hi
}

// tearSector leaves half of a sector as it was.
func tearSector(rnd *rand.Rand, b []byte) (lo, hi int) {
	at := rnd.IntN(len(b)) / vfs.Sector * vfs.Sector
	hi = min(at+vfs.Sector, len(b))
	clear(b[at+(hi-at)/2 : hi])
	return at, hi
}

// used is how much of a segment has anything in it.
func used(b []byte) int {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return n
}

func pickName(rnd *rand.Rand, names []string) string {
	// The newest hold what is not drained: they are taken more often.
	if rnd.IntN(2) == 0 {
		return names[len(names)-1]
	}
	return names[rnd.IntN(len(names))]
}

func (d *chaosDisk) damageJournal(match string, tail *chaosTail, damage func(*rand.Rand, []byte) (int, int)) (done, excused bool) {
	names := d.journalFiles(match)
	if len(names) == 0 {
		return false, false
	}
	name := pickName(d.rnd, names)
	err := d.mem.Corrupt(filepath.Join("journal", name), func(b []byte) {
		n := used(b)
		if n == 0 {
			return
		}
		// Half of them at the end: what stands before was drained more often.
		from := 0
		if d.rnd.IntN(2) == 0 {
			from = max(0, n-2*diskPage) / diskPage * diskPage
		}
		lo, hi := damage(d.rnd, b[from:n])
		lo, hi = lo+from, hi+from
		done, excused = true, tail.bare && tail.holds(name, int64(lo), int64(hi))
		d.t.Logf("damaged %s from %d to %d of %d", name, lo, hi, n)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return done, excused
}

func cutJournalFile(match string) func(*chaosDisk, *chaosTail) (bool, bool) {
	return func(d *chaosDisk, tail *chaosTail) (done, excused bool) {
		names := d.journalFiles(match)
		if len(names) == 0 {
			return false, false
		}
		name := pickName(d.rnd, names)
		path := filepath.Join("journal", name)
		var keep []byte
		if err := d.mem.Corrupt(path, func(b []byte) { keep = append(keep, b[:d.rnd.IntN(used(b)+1)]...) }); err != nil {
			d.t.Fatal(err)
		}
		f, err := d.mem.Create(path)
		if err == nil {
			_, err = f.WriteAt(keep, 0)
		}
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Logf("cut %s to %d", name, len(keep))
		return true, tail.bare && name == tail.file && int64(len(keep)) < tail.to
	}
}

func dropJournalFile(match string) func(*chaosDisk, *chaosTail) (bool, bool) {
	return func(d *chaosDisk, tail *chaosTail) (done, excused bool) {
		names := d.journalFiles(match)
		if len(names) == 0 {
			return false, false
		}
		name := pickName(d.rnd, names)
		if err := d.mem.Remove(filepath.Join("journal", name)); err != nil {
			d.t.Fatal(err)
		}
		d.t.Logf("removed %s", name)
		return true, tail.bare && name == tail.file
	}
}

func (d *chaosDisk) damageStore(match string, damage func(*rand.Rand, []byte) (int, int)) bool {
	names := d.storeFiles(match)
	if len(names) == 0 {
		return false
	}
	name := names[d.rnd.IntN(len(names))]
	b, err := os.ReadFile(name)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(b) == 0 {
		return false
	}
	lo, hi := damage(d.rnd, b)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("damaged %s from %d to %d of %d", strings.TrimPrefix(name, d.dir), lo, hi, len(b))
	return true
}

func (d *chaosDisk) onStoreFile(match, what string, f func(name string) error) (bool, bool) {
	names := d.storeFiles(match)
	if len(names) == 0 {
		return false, false
	}
	name := names[d.rnd.IntN(len(names))]
	if err := f(name); err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("%s %s", what, strings.TrimPrefix(name, d.dir))
	return true, false
}

func cutStoreFile(match string) func(*chaosDisk, *chaosTail) (bool, bool) {
	return func(d *chaosDisk, _ *chaosTail) (bool, bool) {
		return d.onStoreFile(match, "cut", func(name string) error {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			return os.Truncate(name, info.Size()*d.rnd.Int64N(4)/4)
		})
	}
}

func dropStoreFile(match string) func(*chaosDisk, *chaosTail) (bool, bool) {
	return func(d *chaosDisk, _ *chaosTail) (bool, bool) {
		return d.onStoreFile(match, "removed", os.Remove)
	}
}

func dropStoreFolder(d *chaosDisk, _ *chaosTail) (bool, bool) {
	return d.onStoreFile("*.chunks", "removed the folder of", func(name string) error {
		return os.RemoveAll(filepath.Dir(name))
	})
}

// A damage that changes nothing would let every run pass.
func TestChaos_damages_change_something(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for name, damage := range map[string]func(*rand.Rand, []byte) (int, int){"bit": flipBit, "page": zeroPage, "sector": tearSector} {
		b := make([]byte, 3*diskPage)
		for i := range b {
			b[i] = byte(i%255 + 1)
		}
		was := fmt.Sprint(b)
		if lo, hi := damage(rnd, b); fmt.Sprint(b) == was || lo >= hi {
			t.Errorf("%s: nothing changed from %d to %d", name, lo, hi)
		}
	}
}
