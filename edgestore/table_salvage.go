package edgestore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"
)

// TableSalvage tells what became of a table that was damaged.
type TableSalvage struct {
	Cause error // the first damage that was met
	// Exact: the values are those of the last flush, all of them. Else some are
	// missing, and some of those that were deleted may be there again.
	Exact bool
	// Old: the newest state was not found. Applied is that of an older one.
	Old bool
	// Doubtful names values that were damaged and of which an older version was
	// found, in order.
	Doubtful []string
	Values   int    // how many there are
	Aside    string // where the damaged file is now; "" where the file was mended
}

// Salvaged tells what the open had to salvage; ok is false when nothing.
func (t *Table) Salvaged() (s TableSalvage, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.salvaged == nil {
		return TableSalvage{}, false
	}
	return *t.salvaged, true
}

// tableFinds is what a search of the pages has found.
type tableFinds struct {
	states []foundState
	rows   map[string][]foundRow
}

type foundState struct {
	tableState
	flush uint64
}

type foundRow struct {
	flush uint64
	crc   uint32
	value []byte
}

// salvage makes a new file of what the old one has. The tree is taken as far as
// it can be read, damaged values are searched for in the pages; when that does
// not come to what the state says, all values are taken from the pages. With
// lost set the tree is known to be old.
func (t *Table) salvage(lost bool, cause error) error {
	finds, err := searchTable(t.o.Path, t.hooks)
	if err != nil {
		return err
	}
	tree, whole := t.readTree()
	if lost || tree.flush == 0 {
		whole = false
		newest, ok := finds.newest()
		if !ok {
			return fmt.Errorf("no state found: %w", cause)
		}
		if tree.flush < newest.flush {
			tree.state, tree.flush = newest.tableState, newest.flush
		}
	}
	report := &TableSalvage{Cause: cause}
	best := tree
	if whole {
		for _, key := range tree.bad {
			if row, ok := finds.row(key, tree.flush); ok {
				best.values[key], best.sums[key] = row.value, row.crc
				report.Doubtful = append(report.Doubtful, key)
			}
		}
	}
	if all := finds.all(tree.state, tree.flush); !whole || !best.exact() && all.exact() {
		best, report.Doubtful = all, nil
	} else if uint64(len(best.values)) < best.state.values {
		// The tree has lost a part without a trace.
		for key, value := range all.values {
			if _, ok := best.values[key]; !ok {
				best.values[key], best.sums[key] = value, all.sums[key]
				report.Doubtful = append(report.Doubtful, key)
			}
		}
	}
	if tx, err := newestTx(t.o.Path); err != nil {
		return err
	} else if report.Old = tx > best.state.tx && best.state.tx > 0; report.Old {
		best.state.sum ^= 1 // not exact, whatever it comes to
	}
	if report.Exact = best.exact(); report.Exact {
		report.Doubtful = nil
	} else if finds.ambiguous {
		return fmt.Errorf("format 1 does not tell old values from new ones: %w", cause)
	}
	slices.Sort(report.Doubtful)
	report.Values = len(best.values)
	if err := t.file.shut(); err != nil && !isCorrupt(err) {
		return err
	}
	t.file = nil
	if report.Aside, err = keepAside(t.hooks, t.o.Path); err != nil {
		return err
	}
	if err := t.rewrite(best.state.applied, best.flush+1, best.values); err != nil {
		return err
	}
	t.values, t.applied, t.next, t.salvaged = best.values, best.state.applied, best.state.applied, report
	return nil
}

// keepAside is SetAside for a file that a new one will replace: there is always
// one under its name, where the file system can do that.
func keepAside(hooks *FileOptions, path string) (string, error) {
	for n := 1; ; n++ {
		to := path + damagedInfix + strconv.Itoa(n)
		err := os.Link(path, to)
		switch {
		case err == nil:
			return to, nil
		case errors.Is(err, os.ErrExist):
		default:
			return SetAside(hooks.Disk, path)
		}
	}
}

// readTree reads what the tree gives; whole is false when it could not be
// walked to its end.
func (t *Table) readTree() (r tableRows, whole bool) {
	file := &boltFile{path: t.o.Path, readOnly: true, hooks: t.hooks}
	_ = t.file.close()
	err := file.view("table", func(tx *bbolt.Tx) error {
		r, _ = readTable(tx)
		return nil
	})
	_ = file.shut()
	if r.values == nil {
		r.values, r.sums = make(map[string][]byte), make(map[string]uint32)
	}
	return r, err == nil && r.flush > 0
}

func searchTable(path string, hooks *FileOptions) (*tableSearch, error) {
	f := &tableSearch{tableFinds: tableFinds{rows: make(map[string][]foundRow)}}
	err := rawScan(path, hooks, func(_ int64, b []byte) error {
		rec, err := parseRecord(b, b[5])
		if err != nil {
			return nil
		}
		switch rec.kind {
		case kindState:
			if st, err := decodeTableState(&rec); err == nil {
				f.states = append(f.states, foundState{st, rec.flush})
			}
		case kindTable:
			if key, value, err := decodeAux(rec.payload); err == nil {
				f.rows[key] = append(f.rows[key], foundRow{rec.flush, rec.crc, slices.Clone(value)})
				if rec.format == recordFormat1 {
					f.ambiguous = true
				}
			}
		}
		return nil
	})
	return f, err
}

// tableSearch also tells whether rows are of format 1, which do not say their
// flush.
type tableSearch struct {
	tableFinds
	ambiguous bool
}

func (f *tableFinds) newest() (best foundState, ok bool) {
	for _, s := range f.states {
		if !ok || s.flush > best.flush {
			best, ok = s, true
		}
	}
	return best, ok
}

// row is the newest version of a value as of a flush.
func (f *tableFinds) row(key string, flush uint64) (best foundRow, ok bool) {
	for _, r := range f.rows[key] {
		if r.flush <= flush && (!ok || r.flush >= best.flush) {
			best, ok = r, true
		}
	}
	return best, ok
}

// all is the newest version of every value as of a flush.
func (f *tableFinds) all(st tableState, flush uint64) tableRows {
	r := tableRows{state: st, flush: flush, values: make(map[string][]byte), sums: make(map[string]uint32)}
	for key := range f.rows {
		if row, ok := f.row(key, flush); ok {
			r.values[key], r.sums[key] = row.value, row.crc
		}
	}
	return r
}
