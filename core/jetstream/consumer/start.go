package consumer

import "time"

// Store is what is asked of a stream to find where a consumer begins.
type Store interface {
	LastFor(filter string) (uint64, error)
	LastPerSubject(filters []string, start, upTo uint64) ([]uint64, error)
	SeqAt(t time.Time) (uint64, error)
}

// Start is where a consumer begins. It is decided once, when the consumer is
// created, and belongs to the operation that creates it.
type Start struct {
	Seq uint64
	// List holds the sequences that last_per_subject delivers first,
	// ascending; Live is where it goes on after them.
	List []uint64
	Live uint64
	// Last is the last sequence of the stream, where replay at the original
	// pace ends.
	Last uint64
}

// StartOf finds where a consumer of cfg begins in a stream that holds the
// sequences first to last (first is last+1, or 0, when it is empty) and keeps
// maxMsgsPerSubject of each subject. It fails when the stream can't be read.
func StartOf(cfg *Config, first, last uint64, maxMsgsPerSubject int64, s Store) (st Start, err error) {
	st = Start{Seq: max(first, 1), Last: last}
	switch cfg.DeliverPolicy {
	case DeliverAll:
	case DeliverNew:
		st.Seq = last + 1
	case DeliverLast:
		st.Seq = last
		if f := cfg.Filters(); len(f) > 0 {
			st.Seq = 0
			for _, filter := range f {
				last, err := s.LastFor(filter)
				if err != nil {
					return st, err
				}
				st.Seq = max(st.Seq, last)
			}
			if st.Seq == 0 {
				st.Seq = last + 1
			}
		}
	case DeliverByStartSequence:
		// A position in the future is kept.
		st.Seq = max(cfg.OptStartSeq, first, 1)
		return st, nil
	case DeliverByStartTime:
		if st.Seq, err = s.SeqAt(*cfg.OptStartTime); err != nil {
			return st, err
		}
	case DeliverLastPerSubject:
		if maxMsgsPerSubject == 1 {
			break
		}
		if st.List, err = s.LastPerSubject(cfg.Filters(), 0, last); err != nil {
			return st, err
		}
		st.Live = last + 1
		if len(st.List) > 0 {
			st.Seq = st.List[0]
		} else {
			st.Seq = st.Live
		}
	}
	st.Seq = max(min(st.Seq, last+1), 1)
	return st, nil
}
