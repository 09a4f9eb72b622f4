package edgestoretest

import (
	"time"

	"github.com/frondmq/frond/edgestore"
)

// Cold is what Store.Hot gives of a store that has nothing in memory.
type Cold struct{}

func (Cold) Describe(uint64) (r edgestore.Removal, readable bool, err error) {
	return r, false, edgestore.ErrCold
}

func (Cold) Find(string) ([]edgestore.Removal, error) { return nil, edgestore.ErrCold }

func (Cold) ReadPurge(string, uint64, uint64) error { return edgestore.ErrCold }

func (Cold) Load(_ uint64, buf []byte) (m edgestore.Msg, b []byte, err error) {
	return m, buf, edgestore.ErrCold
}

func (Cold) LoadNext(_ []string, _ uint64, buf []byte) (m edgestore.Msg, b []byte, err error) {
	return m, buf, edgestore.ErrCold
}

func (Cold) LastFor(string) (uint64, error) { return 0, edgestore.ErrCold }

func (Cold) Subject(string) (st edgestore.SubjectState, ok bool, err error) {
	return st, false, edgestore.ErrCold
}

func (Cold) Subjects(string, func(string, edgestore.SubjectState) bool) error {
	return edgestore.ErrCold
}

func (Cold) LastPerSubject([]string, uint64, uint64) ([]uint64, error) {
	return nil, edgestore.ErrCold
}

func (Cold) Count([]string, uint64, bool) (c edgestore.Count, err error) {
	return c, edgestore.ErrCold
}

func (Cold) SeqAt(time.Time) (uint64, error) { return 0, edgestore.ErrCold }

func (Cold) Readable() (st edgestore.State, err error) { return st, edgestore.ErrCold }
