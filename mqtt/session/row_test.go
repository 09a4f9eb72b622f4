package session

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadRow(t *testing.T) {
	many := make([]string, MaxFilters+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"filter":"f%d","options":1}`, i)
	}
	const ok = `{"origin":"o","id":"c1","clean":false,"frond":{"user":"u","expiry":60,"position":9,"unacked":[3,1,9,2],"filters":[{"filter":"a/#","options":5,"after":2},{"filter":"b","options":1,"after":2,"until":4},{"filter":"b","options":0}]}}`
	if r, err := readRow([]byte(ok), nil, 0); err != nil || r.ID != "c1" || len(r.State.Filters) != 3 || r.State.Position != 9 {
		t.Errorf("%+v, %v", r, err)
	}
	for name, in := range map[string]string{
		"no JSON":                     `{`,
		"empty":                       `{}`,
		"no identifier":               `{"id":"","frond":{}}`,
		"a long identifier":           `{"id":"` + strings.Repeat("x", MaxID+1) + `","frond":{}}`,
		"half an unacknowledged":      `{"id":"c","frond":{"position":9,"unacked":[1]}}`,
		"out of order":                `{"id":"c","frond":{"position":9,"unacked":[5,1,4,2]}}`,
		"behind the position":         `{"id":"c","frond":{"position":3,"unacked":[5,1]}}`,
		"packet identifier 0":         `{"id":"c","frond":{"position":9,"unacked":[5,0]}}`,
		"a large packet identifier":   `{"id":"c","frond":{"position":9,"unacked":[5,65536]}}`,
		"a packet identifier twice":   `{"id":"c","frond":{"position":9,"unacked":[5,1,6,1]}}`,
		"open and unacknowledged":     `{"id":"c","frond":{"position":9,"unacked":[5,1],"open":[1]}}`,
		"open twice":                  `{"id":"c","frond":{"open":[1,1]}}`,
		"half a retained":             `{"id":"c","frond":{"retained":[1]}}`,
		"retained as 0":               `{"id":"c","frond":{"retained":[1,0]}}`,
		"retained as a large one":     `{"id":"c","frond":{"retained":[1,131072]}}`,
		"retained and unacknowledged": `{"id":"c","frond":{"position":9,"unacked":[5,1],"retained":[1,65537]}}`,
		"open and retained":           `{"id":"c","frond":{"retained":[1,65537],"open":[1]}}`,
		"half a received":             `{"id":"c","frond":{"received":[1]}}`,
		"received twice":              `{"id":"c","frond":{"received":[1,2,3,2]}}`,
		"received as 0":               `{"id":"c","frond":{"received":[1,0]}}`,
		"QoS 3":                       `{"id":"c","frond":{"filters":[{"filter":"a","options":3}]}}`,
		"an empty filter":             `{"id":"c","frond":{"filters":[{"filter":"","options":1}]}}`,
		"a filter that ends early":    `{"id":"c","frond":{"filters":[{"filter":"a","options":1,"after":5,"until":4}]}}`,
		"a filter twice":              `{"id":"c","frond":{"filters":[{"filter":"a","options":1},{"filter":"a","options":1}]}}`,
		"too many filters":            `{"id":"c","frond":{"filters":[` + strings.Join(many, ",") + `]}}`,
		"filters that are too large":  `{"id":"c","frond":{"filters":[{"filter":"` + strings.Repeat("x", MaxFilterBytes+1) + `","options":1}]}}`,
	} {
		if r, err := readRow([]byte(in), nil, 0); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// As nats-server writes it.
	stock := `{"origin":"S1xYz0aB","id":"c1","clean":false,"subs":{"foo.q1":1},"cons":{"foo.q1":{"durable_name":"MynGTXiX_x"}}}`
	r, err := readRow([]byte(stock), strings.ToUpper, 9)
	if err != nil || !r.State.Adopted || r.State.Position != 9 || len(r.State.Filters) != 1 || r.State.Filters[0] != (filterRow{Filter: "FOO.Q1", Options: 1, After: 9}) {
		t.Errorf("nats-server's: %+v, %v", r, err)
	}
}

func FuzzReadRow(f *testing.F) {
	f.Add([]byte(`{"origin":"o","id":"c1","clean":false,"frond":{"expiry":60,"position":9,"unacked":[3,1],"filters":[{"filter":"a/#","options":5,"after":2}]}}`))
	f.Add([]byte(`{"id":"c1","subs":{"a":1}}`))
	f.Add([]byte(`{"id":"c1","frond":{"expiry":60,"retained":[4,7,2,65538]}}`))
	f.Add([]byte(`{"id":"c1","frond":{"expiry":60,"position":9,"unacked":[3,65537],"open":[2],"received":[4,7],"received_up_to":8}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRow(b, strings.ToUpper, 9)
		if err != nil || r == nil {
			return
		}
		// What is read is written as it was.
		s := &Store{o: Options{Origin: r.Origin}}
		x := &Session{store: s, ID: r.ID, User: r.State.User, expiry: r.State.Expiry, position: r.State.Position, online: r.State.Online, sentUpTo: r.State.SentUpTo}
		for i := 0; i < len(r.State.Unacked); i += 2 {
			id := r.State.Unacked[i+1]
			x.unacked = append(x.unacked, Unacked{Seq: r.State.Unacked[i], ID: uint16(id), Exact: id >= exactly})
		}
		x.decodeExact(r.State)
		for _, f := range r.State.Filters {
			until := uint64(open)
			if f.Until > 0 {
				until = f.Until
			}
			x.filters.add(&Filter{Text: f.Filter, Options: f.Options, Identifier: f.ID, after: f.After, until: until})
		}
		if _, err := readRow(x.encode(), nil, 0); err != nil {
			t.Fatalf("%s: %v", x.encode(), err)
		}
	})
}

func TestCounts(t *testing.T) {
	var c counts
	for seq := uint64(1); seq <= 3*countChunk; seq++ {
		c.set(seq, int(seq%3))
	}
	if len(c.chunks) != 3 || c.get(5) != 2 || c.get(9) != 0 || c.get(1<<40) != 0 {
		t.Errorf("%d chunks, %d %d", len(c.chunks), c.get(5), c.get(9))
	}
	if n := c.next(3, 100); n != 4 {
		t.Errorf("behind 3: %d", n)
	}
	for seq := uint64(1); seq <= 2*countChunk; seq++ {
		c.set(seq, 0)
	}
	if n := c.next(1, 3*countChunk); n != 2*countChunk+1 {
		t.Errorf("first: %d", n)
	}
	for seq := uint64(1); seq <= 3*countChunk; seq++ {
		c.set(seq, 0)
	}
	if len(c.chunks) != 0 || c.next(1, 9999) != 10000 {
		t.Errorf("%d chunks, next %d", len(c.chunks), c.next(1, 9999))
	}
}

func TestFilterList(t *testing.T) {
	var l filterList
	var all []*Filter
	text := func() (s string) {
		for f := range l.all {
			s += f.Text
		}
		return s
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		f := &Filter{Text: name}
		l.add(f)
		all = append(all, f)
	}
	for _, step := range []struct {
		f    *Filter
		left string
	}{{all[1], "acd"}, {all[1], "acd"}, {all[0], "cd"}, {all[3], "c"}} {
		if l.remove(step.f); text() != step.left {
			t.Errorf("without %s: %s, want %s", step.f.Text, text(), step.left)
		}
	}
	l.add(all[1])
	for f := range l.all {
		l.remove(f)
	}
	if text() != "" || l.list() != nil {
		t.Errorf("left: %s", text())
	}
}
