package jetstream

import (
	"slices"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/edgestore"
)

// What limits and rollups push out.

// eviction is what a message pushes out: found by planRoom before the message is
// stored, dropped by makeRoom behind it.
type eviction struct {
	list []edgestore.Removal
	// ofSubject is how many of list, the first ones, are of the message's subject.
	ofSubject int
	// cleared is how many messages went that nothing had to be known of.
	cleared uint64
	// itself: what is left is too much with nothing in it but the message.
	itself bool
	// failed is why the limits are not kept to.
	failed error
}

// maxEvictions is how long a list is kept for the next message.
const maxEvictions = 256

// planRoom finds what m pushes out. It may read, and so comes before anything is
// changed.
func (s *stream) planRoom(cfg *asset.StreamConfig, m *incoming, r rollup) error {
	x := &m.out
	if r == rollupNone && cfg.MaxMsgsPer <= 0 && (cfg.Discard != asset.DiscardOld || cfg.MaxMsgs <= 0 && cfg.MaxBytes <= 0) {
		return nil
	}
	for {
		if cap(x.list) > maxEvictions {
			x.list = nil
		}
		*x = eviction{list: x.list[:0]}
		damaged, err := s.tryPlan(x, cfg, m, r)
		if err != nil || damaged == 0 {
			return err
		}
		m.looked = false
		if err := s.dropDamaged(damaged); s.failed != nil {
			return err
		} else if err != nil {
			x.failed = err // it is counted for ever: the message is stored all the same
			return nil
		}
	}
}

// tryPlan is planRoom until it meets a message that is damaged, which it returns.
func (s *stream) tryPlan(x *eviction, cfg *asset.StreamConfig, m *incoming, r rollup) (damaged uint64, err error) {
	st := s.store.Index()
	switch {
	case r == rollupAll:
		st.Msgs, st.Bytes = 0, 0
	case r == rollupSubject:
		if x.list, err = s.messagesOf(m.Subject); err != nil {
			return 0, err
		}
		m.looked = false // it may have found damage
	case cfg.MaxMsgsPer > 0:
		if damaged, err = s.planSubject(x, cfg, m); err != nil || damaged != 0 {
			return damaged, err
		}
	}
	if x.ofSubject = len(x.list); cfg.Discard != asset.DiscardOld {
		return 0, nil
	}
	left := occupied{st.Msgs + 1, st.Bytes + s.sizeOf(&m.Msg)}
	for i := range x.list {
		left.less(&x.list[i])
	}
	if !left.above(cfg) || st.Msgs == 0 {
		x.itself = left.above(cfg)
		return 0, nil
	}
	for at := st.FirstSeq; left.above(cfg); {
		r, readable, err := s.from(at)
		if err != nil {
			return 0, err
		}
		if x.itself = r.Seq == 0; x.itself {
			break
		}
		at = r.Seq + 1
		if contains(x.list[:x.ofSubject], r.Seq) {
			continue
		}
		if !readable {
			return r.Seq, nil
		}
		x.list = append(x.list, r)
		left.less(&r)
	}
	return 0, nil
}

// planSubject finds what a limit of each subject pushes out.
func (s *stream) planSubject(x *eviction, cfg *asset.StreamConfig, m *incoming) (damaged uint64, err error) {
	sub, ok, err := s.subjectOf(m)
	if err != nil || !ok || sub.Msgs < uint64(cfg.MaxMsgsPer) {
		return 0, err
	}
	over := sub.Msgs + 1 - uint64(cfg.MaxMsgsPer)
	if over > 1 { // what was stored while nobody kept to the limit
		if x.list, err = s.messagesOf(m.Subject); err != nil {
			return 0, err
		}
		m.looked = false // it may have found damage
		x.list = x.list[:min(over, uint64(len(x.list)))]
		return 0, nil
	}
	r, readable, err := s.from(sub.First)
	if err != nil {
		return 0, err
	}
	if r.Seq != sub.First || !readable {
		return sub.First, nil
	}
	x.list = append(x.list, r)
	return 0, nil
}

func contains(list []edgestore.Removal, seq uint64) bool {
	_, ok := slices.BinarySearchFunc(list, seq, func(r edgestore.Removal, seq uint64) int {
		return int(min(max(int64(r.Seq-seq), -1), 1))
	})
	return ok
}

// messagesOf lists what is readable of a subject.
func (s *stream) messagesOf(subject string) (list []edgestore.Removal, err error) {
	err = s.read(func(st edgestore.Reads) (err error) {
		list, err = st.Find(subject)
		return err
	})
	return list, err
}

// occupied is what a stream holds.
type occupied struct{ msgs, bytes uint64 }

func (o *occupied) less(r *edgestore.Removal) {
	o.msgs--
	o.bytes -= min(r.Size, o.bytes)
}

// above reports whether it is more than the limits on the whole stream allow.
func (o *occupied) above(cfg *asset.StreamConfig) bool {
	return cfg.MaxMsgs > 0 && o.msgs > uint64(cfg.MaxMsgs) || cfg.MaxBytes > 0 && o.bytes > uint64(cfg.MaxBytes)
}

// clearFor drops everything before a message that is stored in the place of all.
func (s *stream) clearFor(m *incoming, r rollup) (err error) {
	if r == rollupAll {
		m.out.cleared, err = s.store.Compact(s.last + 1)
	}
	return err
}

// makeRoom drops what planRoom has found, now that the message is stored.
func (s *stream) makeRoom(m *incoming, r rollup) error {
	x := &m.out
	if x.cleared > 0 {
		s.consumers.purged("")
	}
	if len(x.list) > 0 {
		s.store.Drop(x.list)
		own := x.list[:x.ofSubject]
		if r == rollupSubject && len(own) > 0 {
			s.consumers.purged(m.Subject)
			own = nil
		}
		for i := range own {
			s.consumers.removed(own[i].Seq, m.Subject, eventRemoved)
		}
		if len(x.list) > x.ofSubject {
			s.consumers.compacted()
		}
	}
	if x.failed != nil {
		return x.failed
	}
	if x.itself { // it is in memory: nothing is read
		if _, _, err := s.store.Remove(s.last); err != nil {
			return s.fail(err)
		}
		s.consumers.compacted()
	}
	return nil
}

// narrowing is what lower limits push out.
type narrowing struct {
	subjects []string
	lists    [][]edgestore.Removal // of each subject
	below    uint64                // all below this; 0 for none
}

// planTighten finds what the limits of an update push out.
func (s *stream) planTighten(old, cfg *asset.StreamConfig) (n narrowing, err error) {
	for {
		damaged, err := s.tryTighten(&n, old, cfg)
		if err != nil || damaged == 0 {
			return n, err
		}
		if err := s.dropDamaged(damaged); err != nil {
			return n, err
		}
	}
}

func (s *stream) tryTighten(n *narrowing, old, cfg *asset.StreamConfig) (damaged uint64, err error) {
	*n = narrowing{}
	if cfg.MaxMsgsPer > 0 && (old.MaxMsgsPer <= 0 || cfg.MaxMsgsPer < old.MaxMsgsPer) {
		if err := s.planSubjects(n, uint64(cfg.MaxMsgsPer)); err != nil {
			return 0, err
		}
	}
	if cfg.Discard != asset.DiscardOld {
		return 0, nil
	}
	st := s.store.Index()
	left := occupied{st.Msgs, st.Bytes}
	going := make(map[uint64]struct{})
	for _, list := range n.lists {
		for i := range list {
			left.less(&list[i])
			going[list[i].Seq] = struct{}{}
		}
	}
	for at := st.FirstSeq; left.above(cfg); {
		r, readable, err := s.from(at)
		switch {
		case err != nil:
			return 0, err
		case r.Seq == 0:
			return 0, nil
		case !readable:
			return r.Seq, nil
		}
		at = r.Seq + 1
		n.below = at
		if _, ok := going[r.Seq]; !ok {
			left.less(&r)
		}
	}
	return 0, nil
}

// planSubjects finds what is above most messages of a subject.
func (s *stream) planSubjects(n *narrowing, most uint64) error {
	err := s.read(func(st edgestore.Reads) error {
		n.subjects = nil
		return st.Subjects(">", func(subject string, st edgestore.SubjectState) bool {
			if st.Msgs > most {
				n.subjects = append(n.subjects, subject)
			}
			return true
		})
	})
	if err != nil {
		return err
	}
	slices.Sort(n.subjects)
	for _, subject := range n.subjects {
		list, err := s.messagesOf(subject)
		if err != nil {
			return err
		}
		n.lists = append(n.lists, list[:max(len(list)-int(most), 0)])
	}
	return nil
}

// tighten drops what planTighten has found. What is oldest goes first: that is
// read once more, and nothing of the step is done yet.
func (s *stream) tighten(n *narrowing) error {
	if n.below > 0 {
		if err := s.compact(n.below); err != nil {
			return err
		}
	}
	for i, subject := range n.subjects {
		if s.store.Drop(n.lists[i]) > 0 {
			s.consumers.purged(subject)
		}
	}
	return nil
}
