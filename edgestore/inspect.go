package edgestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"go.etcd.io/bbolt"
)

// Check is what a look into the folder of a stopped store finds.
type Check struct {
	Dir         string
	Incarnation uint64
	Files       []CheckedFile
	Strays      []string // that are none of the store's
	// Damaged is why the records cannot be trusted. Then everything below is
	// what a rebuild would find.
	Damaged error
	State   State
	Applied LSN
	Chain   Chain
	// Lost was booked as lost; Unreadable is counted and cannot be read.
	Lost, Unreadable []SeqRange
	// Named are the named values.
	Named []Aux
}

// Sound tells whether everything is as it should be. What was booked as lost
// before does not count.
func (c *Check) Sound() bool {
	for _, f := range c.Files {
		if f.Err != nil {
			return false
		}
	}
	return c.Damaged == nil && len(c.Unreadable) == 0
}

// CheckedFile is one file of a store.
type CheckedFile struct {
	Name    string
	Size    int64
	Format  int // the newest of its records
	Records int // whole ones in its pages, old versions too
	Err     error
}

// CheckStore reads everything in the folder of a store and writes nothing. The
// error is one that says nothing about the data: the folder cannot be read, is
// in use (ErrLocked), or of a newer program (ErrFormat).
func CheckStore(dir string) (*Check, error) {
	return inspect(dir, func(*Msg) error { return nil })
}

// DumpStore is CheckStore and gives f each message that can be read, ascending.
// m is valid until f returns, and an error of f ends the dump.
func DumpStore(dir string, f func(m *Msg) error) (*Check, error) { return inspect(dir, f) }

// RebuildStore makes a new file of what is in the pages of all files of a
// store. The newest of the old ones is set aside. The result is a Check of what
// it made.
func RebuildStore(dir string) (*Check, error) {
	s, files, err := inspected(dir)
	if err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", dir, err)
	}
	defer s.files.close()
	if len(files.ids) == 0 {
		return nil, fmt.Errorf("rebuild %s: no files of a store in it", dir)
	}
	s.free = files.free
	look := newFileStore(*s.o)
	lost, err := look.inspectHead(files.ids)
	if cerr := look.files.close(); err == nil {
		err = cerr
	}
	if err != nil && !isCorrupt(err) {
		return nil, fmt.Errorf("rebuild %s: %w", dir, err)
	}
	if err := s.salvage(files.ids, lost, errRebuild); err != nil {
		return nil, fmt.Errorf("rebuild %s: %w", dir, err)
	}
	if err := s.files.close(); err != nil {
		return nil, err
	}
	return CheckStore(dir)
}

var errRebuild = fmt.Errorf("nothing to rebuild from: %w", ErrCorrupt)

// inspected is a store for looking only, of whatever incarnation the folder is.
func inspected(dir string) (*fileStore, folder, error) {
	o := FileOptions{Dir: dir}
	o.fill()
	s := newFileStore(o)
	files, err := s.readFolder()
	if err != nil {
		return nil, folder{}, err
	}
	s.o.Incarnation, err = s.whose(files.ids)
	return s, files, err
}

// whose finds the incarnation in the newest file that says one.
func (s *fileStore) whose(ids []uint32) (incarnation uint64, err error) {
	stop := errors.New("found")
	for i := len(ids) - 1; i >= 0; i-- {
		err := rawScan(fileName(s.o.Dir, ids[i]), s.o, func(_ int64, b []byte) error {
			rec, err := parseRecord(b, b[5])
			if err != nil && !isCorrupt(err) {
				return err
			}
			if err == nil {
				incarnation = rec.incarnation
				return stop
			}
			return nil
		})
		if errors.Is(err, stop) {
			return incarnation, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func inspect(dir string, f func(m *Msg) error) (*Check, error) {
	s, files, err := inspected(dir)
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", dir, err)
	}
	defer s.files.close()
	c := &Check{Dir: dir, Incarnation: s.o.Incarnation, Strays: files.strays}
	for _, id := range files.ids {
		file, err := s.checkFile(id)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", dir, err)
		}
		c.Files = append(c.Files, file)
	}
	for _, name := range files.runs {
		if err := c.checkIDs(s, name); err != nil {
			return nil, fmt.Errorf("check %s: %w", dir, err)
		}
	}
	if len(files.ids) == 0 {
		return c, nil
	}
	lost, err := s.inspectHead(files.ids)
	if err == nil {
		err = c.fromStore(s, f)
	} else if isCorrupt(err) {
		c.Damaged = err
		err = c.fromPages(s, files.ids, lost, f)
	}
	if err != nil {
		return c, fmt.Errorf("check %s: %w", dir, err)
	}
	return c, nil
}

// inspectHead loads the records without writing; lost tells that the newest
// commit is not the one that the file shows.
func (s *fileStore) inspectHead(ids []uint32) (lost bool, err error) {
	s.looking = true
	head := ids[len(ids)-1]
	if err := s.loadHead(head); err != nil {
		return false, err
	}
	lost, _, err = s.lostCommit(fileName(s.o.Dir, head))
	if lost {
		return true, &CorruptError{fileName(s.o.Dir, head), "meta pages", "the newest is damaged"}
	}
	for _, id := range ids[:len(ids)-1] {
		s.files.addOld(id, &oldFile{boltFile: &boltFile{path: fileName(s.o.Dir, id), readOnly: true, hooks: s.o}})
	}
	return false, err
}

// checkIDs looks at a run of ids.
func (c *Check) checkIDs(s *fileStore, name string) error {
	path := filepath.Join(s.o.Dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	file := CheckedFile{Name: name, Size: info.Size()}
	if !strings.HasSuffix(name, tmpSuffix) {
		file.Records, file.Format, file.Err = checkIDRun(s.o.Disk, path, s.o.Incarnation)
		if file.Err != nil && !isCorrupt(file.Err) {
			return file.Err
		}
	}
	c.Files = append(c.Files, file)
	return nil
}

// checkFile looks at one file by itself.
func (s *fileStore) checkFile(id uint32) (c CheckedFile, err error) {
	path := fileName(s.o.Dir, id)
	c.Name = filepath.Base(path)
	info, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	c.Size = info.Size()
	file := &boltFile{path: path, readOnly: true, hooks: s.o}
	c.Err = file.view("open", func(*bbolt.Tx) error { return nil })
	_ = file.shut()
	if c.Err != nil && !isCorrupt(c.Err) {
		return c, c.Err
	}
	if damaged, err := metaDamaged(path); c.Err == nil && err == nil && damaged {
		c.Err = oneMeta(path)
	}
	err = rawScan(path, s.o, func(_ int64, b []byte) error {
		c.Records++
		c.Format = max(c.Format, int(b[4]))
		return nil
	})
	return c, err
}

// fromStore fills in what a store with sound records has.
func (c *Check) fromStore(s *fileStore, f func(m *Msg) error) error {
	c.Applied, c.Chain = s.Applied(), s.Chain()
	c.Lost = slices.Clone(s.mu.lost.booked)
	var buf []byte
	for at := uint64(0); ; {
		m, out, err := s.LoadNext(nil, at, buf)
		if errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		if err := f(&m); err != nil {
			return err
		}
		buf, at = out, m.Seq+1
	}
	gone, err := s.unreadable(1, s.mu.last, false)
	if err != nil {
		return err
	}
	c.Unreadable, c.State = gone, s.State()
	c.Named, err = s.auxList("")
	return err
}

// fromPages fills in what a search of the pages finds.
func (c *Check) fromPages(s *fileStore, ids []uint32, lost bool, f func(m *Msg) error) error {
	v, err := s.search(ids, "", lost, c.Damaged)
	if isCorrupt(err) {
		return nil // nothing is left, and Damaged says so
	}
	if err != nil {
		return err
	}
	st := v.state
	c.Applied, c.Chain, c.Lost = st.applied, st.chain, v.lost
	c.State = State{Msgs: st.msgs, Bytes: st.bytes, FirstSeq: st.first, LastSeq: st.last,
		NumDeleted: st.last + 1 - st.first - st.msgs, NumSubjects: v.subs.len()}
	for key, at := range v.aux {
		b, err := readAt(at.path, at.place)
		if err != nil {
			return err
		}
		if rec, err := parseRecord(b, kindAux); err == nil {
			if _, value, err := decodeAux(rec.payload); err == nil {
				c.Named = append(c.Named, Aux{key, slices.Clone(value)})
			}
		}
	}
	sort.Slice(c.Named, func(i, j int) bool { return c.Named[i].Key < c.Named[j].Key })
	for _, at := range v.from {
		b, err := readAt(at.path, at.place)
		if err != nil {
			return err
		}
		if err := v.dump(b, f); err != nil {
			return err
		}
	}
	return nil
}

// dump gives f the messages of a chunk that count.
func (v *salvager) dump(b []byte, f func(m *Msg) error) error {
	ch, err := decodeChunk(b, 0)
	if err != nil {
		return nil // was whole when it was chosen
	}
	body, err := ch.bodies()
	if err != nil {
		return nil
	}
	for i := range ch.msgs {
		cm := &ch.msgs[i]
		if cm.seq < v.state.first || cm.seq > v.state.last || v.gapSet.has(cm.seq) {
			continue
		}
		m := Msg{Seq: cm.seq, Time: cm.time, Subject: ch.subjects[cm.subj]}
		m.setParts(body[cm.off:cm.off+cm.header+cm.body], int(cm.header))
		if err := f(&m); err != nil {
			return err
		}
	}
	return nil
}

// CheckTable reads a table and writes nothing. A damaged one gives what its tree
// has, and the error of class ErrCorrupt.
func CheckTable(path string) (values []Aux, applied LSN, err error) {
	file := &boltFile{path: path, readOnly: true, hooks: bareOptions()}
	defer file.shut()
	var r tableRows
	var damage error
	err = file.view("table", func(tx *bbolt.Tx) error {
		r, damage = readTable(tx)
		return nil
	})
	for k, v := range r.values {
		values = append(values, Aux{k, v})
	}
	if one, merr := metaDamaged(path); err == nil && damage == nil && merr == nil && one {
		damage = oneMeta(path)
	}
	sort.Slice(values, func(i, j int) bool { return values[i].Key < values[j].Key })
	return values, r.state.applied, errors.Join(err, damage)
}

// TableValue reads one value of a table that nobody uses, and writes nothing.
// Where there is no table there is no value.
func TableValue(path, name string) (value []byte, ok bool, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	file := &boltFile{path: path, readOnly: true, hooks: bareOptions()}
	defer file.shut()
	err = file.view("table", func(tx *bbolt.Tx) error {
		b := tx.Bucket(tableBucket)
		if b == nil {
			return &CorruptError{path, "table", "no values in it"}
		}
		v := b.Get([]byte("=" + name))
		if v == nil {
			return nil
		}
		rec, err := parseRecord(v, kindTable)
		if err != nil {
			return err
		}
		key, val, err := decodeAux(rec.payload)
		if err == nil && key != name {
			err = &CorruptError{path, "table", "another value"}
		}
		value, ok = append([]byte(nil), val...), err == nil
		return err
	})
	return value, ok && err == nil, err
}

// TableVersions are all that the file of a table still holds of one value, in no
// order: pages that are no longer the table's have older ones. It needs neither
// the lock nor a tree at rest, so the table may be in use.
func TableVersions(path, name string) (versions [][]byte, err error) {
	err = rawScan(path, bareOptions(), func(_ int64, b []byte) error {
		rec, err := parseRecord(b, kindTable)
		if err != nil {
			return nil
		}
		if key, value, err := decodeAux(rec.payload); err == nil && key == name {
			versions = append(versions, slices.Clone(value))
		}
		return nil
	})
	return versions, err
}
