package subject

import "testing"

func TestValid(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a.b": true, "*": true, ">": true, "a.*": true, "a.>": true, "*.>": true,
		"a*b": true, ">>": true, "a.>>": true, ">a.b": true, "a.b>": true, "**": true, "*.*": true,
		"\x00.\xff": true, "a b": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, ">.a": false, "a.>.b": false, "a.>.": false,
		">.>": false,
	} {
		if got := Valid(s); got != want {
			t.Errorf("Valid(%q) is %v", s, got)
		}
		if got := Valid([]byte(s)); got != want {
			t.Errorf("Valid([]byte(%q)) is %v", s, got)
		}
	}
}

func TestValidLiteral(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a.b": true, "a*": true, ">>": true, "a.>b": true, "$JS.API.x": true,
		"": false, "*": false, ">": false, "a.*": false, "*.a": false, "a.*.b": false, "a.>": false,
		"a b": false, "a\tb": false, "a\r": false, "a\n": false, "a\f": false, "a..b": false, "a.": false,
	} {
		if got := ValidLiteral(s); got != want {
			t.Errorf("ValidLiteral(%q) is %v", s, got)
		}
	}
}

func TestMatch_cases(t *testing.T) {
	for _, test := range []struct {
		pattern, literal string
		want             bool
	}{
		{"foo", "foo", true},
		{"foo", "fo", false},
		{"fo", "foo", false},
		{"foo.*", "foo.bar", true},
		{"foo.*", "foo", false},
		{"foo.*", "foo.a.b", false},
		{"foo.>", "foo", false},
		{"foo.>", "foo.a.b.c", true},
		{">", "a", true},
		{"*", "a.b", false},
		{"*.b", "a.b", true},
		// Published wildcards mean themselves.
		{"foo.*", "foo.*", true},
		{"foo.x", "foo.*", false},
		{"foo.>", "foo.>", true},
		{"foo.x.>", "foo.>", false},
		// Tokens that only contain the characters.
		{"a*", "a*", true},
		{"a*", "ab", false},
		{">>", ">>", true},
		{">>", "a", false},
		{"*a.b", "xa.b", false},
		// Empty tokens reach nobody.
		{">", "", false},
		{">", "a..b", false},
		{">", "a.", false},
		{">", ".a", false},
		{"*", "", false},
		{"a.*", "a.", false},
		{"*.b", ".b", false},
	} {
		if got := Match(test.pattern, test.literal); got != test.want {
			t.Errorf("Match(%q, %q) is %v", test.pattern, test.literal, got)
		}
		if got := Match(test.pattern, []byte(test.literal)); got != test.want {
			t.Errorf("Match(%q, []byte(%q)) is %v", test.pattern, test.literal, got)
		}
	}
}

func TestMatch_agreesWithTwin(t *testing.T) {
	r := newRand(t)
	for range 100_000 {
		pattern, literal := randomPattern(r), randomLiteral(r)
		if got, want := Match(pattern, literal), dumbMatch(pattern, literal); got != want {
			t.Fatalf("Match(%q, %q) is %v, twin says %v", pattern, literal, got, want)
		}
	}
}

func TestCoversAndCollide_agreeWithTwin(t *testing.T) {
	r, all := newRand(t), universe()
	for range 5_000 {
		a, b := randomPattern(r), randomPattern(r)
		if got, want := Covers(a, b), dumbCovers(all, a, b); got != want {
			t.Fatalf("Covers(%q, %q) is %v, twin says %v", a, b, got, want)
		}
		if got, want := Collide(a, b), dumbCollide(all, a, b); got != want {
			t.Fatalf("Collide(%q, %q) is %v, twin says %v", a, b, got, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("foo.*", "foo.bar")
	f.Add("a.>", "a.b.c")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, pattern, literal string) {
		if !Valid(pattern) {
			// Garbage must not panic, whatever the answer.
			Match(pattern, literal)
			Covers(pattern, literal)
			Collide(pattern, literal)
			return
		}
		if got, want := Match(pattern, literal), dumbMatch(pattern, literal); got != want {
			t.Errorf("Match(%q, %q) is %v, twin says %v", pattern, literal, got, want)
		}
		if Valid(literal) {
			if Collide(pattern, literal) != Collide(literal, pattern) {
				t.Errorf("Collide(%q, %q) is not symmetric", pattern, literal)
			}
			if Covers(pattern, literal) && !Collide(pattern, literal) {
				t.Errorf("%q covers %q but does not collide", pattern, literal)
			}
			if IsLiteral(literal) && Covers(pattern, literal) != Match(pattern, literal) {
				t.Errorf("Covers and Match disagree on %q, %q", pattern, literal)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	literal := []byte("sensors.hall.17.temp")
	for _, pattern := range []string{"sensors.hall.17.temp", "sensors.*.*.temp", "sensors.>", "other.>"} {
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Match(pattern, literal)
			}
		})
	}
}
