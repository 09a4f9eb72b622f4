package edgestoretest

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/frondmq/frond/edgestore"
)

// Model is a store as dumb as can be: a sorted slice and loops.
type Model struct {
	Memory   bool // count sizes as a memory store does
	msgs     []edgestore.Msg
	first    uint64
	last     uint64
	lastTime int64
	lost     map[uint64]bool
}

// NewModel returns an empty model.
func NewModel(firstSeq uint64, memory bool) *Model {
	return &Model{Memory: memory, first: firstSeq, last: firstSeq - 1}
}

func (m *Model) size(msg *edgestore.Msg) uint64 {
	if m.Memory {
		return uint64(len(msg.Subject) + len(msg.Header) + len(msg.Body) + 16)
	}
	return msg.Size()
}

func (m *Model) append(msg edgestore.Msg) {
	if len(m.msgs) == 0 {
		m.first = msg.Seq
	}
	m.msgs = append(m.msgs, msg)
	m.last, m.lastTime = msg.Seq, msg.Time
}

func (m *Model) skip(last uint64, at int64) {
	if last <= m.last {
		return
	}
	m.last, m.lastTime = last, at
	m.settle()
}

// settle puts first where it belongs.
func (m *Model) settle() {
	if len(m.msgs) == 0 {
		m.first = m.last + 1
	} else {
		m.first = m.msgs[0].Seq
	}
}

// lose is Lose with broken as what cannot be read.
func (m *Model) lose(first, last uint64, broken func(seq uint64) bool) (n uint64) {
	if m.lost == nil {
		m.lost = map[uint64]bool{}
	}
	keep := m.msgs[:0:0]
	for _, msg := range m.msgs {
		if msg.Seq >= first && msg.Seq <= last && broken(msg.Seq) {
			m.lost[msg.Seq] = true
			n++
			continue
		}
		keep = append(keep, msg)
	}
	m.msgs = keep
	for seq := max(first, m.last+1); seq <= last; seq++ {
		m.lost[seq] = true
		n++
	}
	m.last = max(m.last, last)
	m.settle()
	return n
}

// damage is what Damage lists.
func (m *Model) damage() (out []edgestore.SeqRange) {
	seqs := make([]uint64, 0, len(m.lost))
	for seq := range m.lost {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	for _, seq := range seqs {
		if n := len(out); n > 0 && out[n-1].Last+1 == seq {
			out[n-1].Last = seq
		} else {
			out = append(out, edgestore.SeqRange{First: seq, Last: seq})
		}
	}
	return out
}

func (m *Model) forget(seq uint64) {
	for s := range m.lost {
		if s < seq {
			delete(m.lost, s)
		}
	}
}

func (m *Model) index(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(m.msgs, seq, func(a edgestore.Msg, s uint64) int {
		switch {
		case a.Seq < s:
			return -1
		case a.Seq > s:
			return 1
		}
		return 0
	})
}

func (m *Model) remove(seq uint64) (uint64, bool) {
	i, ok := m.index(seq)
	if !ok {
		return 0, false
	}
	size := m.size(&m.msgs[i])
	m.msgs = slices.Delete(m.msgs, i, i+1)
	m.settle()
	return size, true
}

func (m *Model) compact(seq uint64) uint64 {
	m.forget(seq)
	if seq <= m.first {
		return 0
	}
	i, _ := m.index(seq)
	m.msgs = slices.Delete(m.msgs, 0, i)
	if len(m.msgs) == 0 {
		m.last = max(m.last, seq-1)
	}
	m.settle()
	return uint64(i)
}

func all(filter string) bool { return filter == "" || filter == ">" }

func (m *Model) purge(filter string, seq, keep uint64) uint64 {
	var hit []uint64
	for _, msg := range m.msgs {
		if (seq == 0 || msg.Seq < seq) && Matches([]string{filter}, msg.Subject) {
			hit = append(hit, msg.Seq)
		}
	}
	if all(filter) && keep == 0 {
		if seq == 0 {
			seq = m.last + 1
		}
		return m.compact(seq)
	}
	if uint64(len(hit)) <= keep {
		return 0
	}
	hit = hit[:uint64(len(hit))-keep]
	for _, s := range hit {
		m.remove(s)
	}
	return uint64(len(hit))
}

func (m *Model) state() edgestore.State {
	s := edgestore.State{Msgs: uint64(len(m.msgs)), FirstSeq: m.first, LastSeq: m.last}
	subjects := map[string]bool{}
	for i := range m.msgs {
		s.Bytes += m.size(&m.msgs[i])
		subjects[m.msgs[i].Subject] = true
	}
	s.NumSubjects = len(subjects)
	s.NumDeleted = m.last + 1 - m.first - s.Msgs
	if len(m.msgs) > 0 {
		s.FirstTime = time.Unix(0, m.msgs[0].Time).UTC()
	}
	if m.lastTime != 0 {
		s.LastTime = time.Unix(0, m.lastTime).UTC()
	}
	return s
}

func (m *Model) next(filters []string, start uint64) (edgestore.Msg, bool) {
	for _, msg := range m.msgs {
		if msg.Seq >= start && Matches(filters, msg.Subject) {
			return msg, true
		}
	}
	return edgestore.Msg{}, false
}

func (m *Model) prev(filters []string, start uint64) (edgestore.Msg, bool) {
	for i := len(m.msgs) - 1; i >= 0; i-- {
		if m.msgs[i].Seq <= start && Matches(filters, m.msgs[i].Subject) {
			return m.msgs[i], true
		}
	}
	return edgestore.Msg{}, false
}

func (m *Model) subjects(filters []string) map[string]edgestore.SubjectState {
	out := map[string]edgestore.SubjectState{}
	for _, msg := range m.msgs {
		if !Matches(filters, msg.Subject) {
			continue
		}
		s := out[msg.Subject]
		if s.Msgs == 0 {
			s.First = msg.Seq
		}
		s.Msgs++
		s.Last = msg.Seq
		out[msg.Subject] = s
	}
	return out
}

func (m *Model) lastPerSubject(filters []string, start, upTo uint64) []uint64 {
	last := map[string]uint64{}
	for _, msg := range m.msgs {
		if msg.Seq >= start && (upTo == 0 || msg.Seq <= upTo) && Matches(filters, msg.Subject) {
			last[msg.Subject] = msg.Seq
		}
	}
	var out []uint64
	for _, s := range last {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (m *Model) pending(filters []string, start uint64, last bool) uint64 {
	if last {
		return uint64(len(m.lastPerSubject(filters, start, 0)))
	}
	n := uint64(0)
	for _, msg := range m.msgs {
		if msg.Seq >= start && Matches(filters, msg.Subject) {
			n++
		}
	}
	return n
}

func (m *Model) seqAt(t int64) uint64 {
	for _, msg := range m.msgs {
		if msg.Time >= t {
			return msg.Seq
		}
	}
	return m.last + 1
}

func (m *Model) deleted() []uint64 {
	var out []uint64
	for s := m.first; s <= m.last; s++ {
		if _, ok := m.index(s); !ok {
			out = append(out, s)
		}
	}
	return out
}

// Matches tells whether any filter matches, by splitting into tokens.
func Matches(filters []string, subject string) bool {
	if len(filters) == 0 {
		return true
	}
	return slices.ContainsFunc(filters, func(f string) bool { return all(f) || f == subject || matchTokens(f, subject) })
}

func matchTokens(pattern, subject string) bool {
	if !strings.ContainsAny(pattern, "*>") {
		return false
	}
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, t := range p {
		if t == ">" && i == len(p)-1 {
			return len(s) > i
		}
		if i >= len(s) || (t != "*" && t != s[i]) {
			return false
		}
	}
	return len(p) == len(s)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
