package account

import (
	"slices"
	"strings"
	"testing"
)

func TestMapping(t *testing.T) {
	a := New("A")
	sink := &fakeSink{}
	mustSubscribe(t, a, sink, ">", "")
	if err := a.AddMapping("w.*.*", "w2.{{wildcard(2)}}.$1"); err != nil {
		t.Fatal(err)
	}
	if err := a.AddMapping("w.>", "never.>"); err != nil {
		t.Fatal(err)
	}
	t.Run("applies to what clients and leafs send", func(t *testing.T) {
		for _, test := range []struct {
			role Role
			want string
		}{
			{RoleClient, ">>w2.b.a"}, {RoleSpoke, ">>w2.b.a"}, {RoleHub, ">>w2.b.a"},
			{RoleInternal, ">>w.a.b"}, {RoleRoute, ">>w.a.b"}, {RoleGateway, ">>w.a.b"},
		} {
			o := seeded(nil, test.role, "")
			for range 2 {
				publish(a, o, "w.a.b")
				if got := sink.take(); got != test.want {
					t.Errorf("%s: %q, want %q", roleNames[test.role], got, test.want)
				}
			}
		}
	})
	t.Run("the first that matches wins, and the result is not mapped again", func(t *testing.T) {
		o := seeded(nil, RoleClient, "")
		publish(a, o, "w.a")
		publish(a, o, "other")
		if got := sink.take(); got != ">>never.a; >>other" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("can be replaced while publishing", func(t *testing.T) {
		o := seeded(nil, RoleClient, "")
		publish(a, o, "w.a")
		if err := a.AddMapping("w.>", "now.>"); err != nil {
			t.Fatal(err)
		}
		publish(a, o, "w.a")
		if got := sink.take(); got != ">>never.a; >>now.a" {
			t.Errorf("got %q", got)
		}
		if got := a.Mappings(); !slices.Equal(got, []string{"w.*.*", "w.>"}) {
			t.Errorf("sources %q", got)
		}
	})
}

func TestMapping_weights(t *testing.T) {
	for _, test := range []struct {
		name  string
		dests []Destination
		want  map[string]int // of 2000, within 200
	}{
		{"the rest keeps its subject", []Destination{{"a", 25, ""}, {"b", 25, ""}}, map[string]int{"a": 500, "b": 500, "src": 1000}},
		{"the rest is lost when the source is listed", []Destination{{"src", 50, ""}}, map[string]int{"src": 1000}},
		{"cluster entries replace the others", []Destination{{"a", 100, ""}, {"b", 100, "C"}}, map[string]int{"b": 2000}},
		{"entries of other clusters are left out", []Destination{{"a", 100, ""}, {"b", 100, "D"}}, map[string]int{"a": 2000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := New("A")
			sink := &fakeSink{}
			mustSubscribe(t, a, sink, ">", "")
			if err := a.AddWeightedMapping("src", "C", test.dests); err != nil {
				t.Fatal(err)
			}
			o := seeded(nil, RoleClient, "")
			for range 2000 {
				publish(a, o, "src")
			}
			got := map[string]int{}
			for _, g := range sink.got {
				got[strings.TrimPrefix(g, ">>")]++
			}
			if len(got) != len(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			for s, n := range test.want {
				if got[s] < n-200 || got[s] > n+200 {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}
		})
	}
	t.Run("refuses what cannot be", func(t *testing.T) {
		a := New("A")
		for _, dests := range [][]Destination{nil, {{"a", 60, ""}, {"b", 60, ""}}, {{"a", 101, ""}}, {{"a..b", 100, ""}}} {
			if err := a.AddWeightedMapping("src", "", dests); err == nil {
				t.Errorf("%v was taken", dests)
			}
		}
	})
}

func TestMapping_domain(t *testing.T) {
	a := New("A")
	sink := &fakeSink{}
	mustSubscribe(t, a, sink, ">", "")
	if err := a.AddDomainMappings("d"); err != nil {
		t.Fatal(err)
	}
	o := seeded(nil, RoleSpoke, "")
	for from, to := range map[string]string{
		"$JS.d.API.INFO":              "$JS.API.INFO",
		"$JS.d.API.STREAM.INFO.S":     "$JS.API.STREAM.INFO.S",
		"$JS.d.API.$KV.b.k":           "$KV.b.k",
		"$JS.d.API.$OBJ.b.C.x":        "$OBJ.b.C.x",
		"$JS.other.API.STREAM.INFO.S": "$JS.other.API.STREAM.INFO.S",
	} {
		publish(a, o, from)
		if got := sink.take(); got != ">>"+to {
			t.Errorf("%s: %q, want %q", from, got, to)
		}
	}
}
