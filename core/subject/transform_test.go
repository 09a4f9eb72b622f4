package subject

import (
	"errors"
	"strings"
	"testing"
)

func mustTransform(t *testing.T, src, dest string) *Transform {
	t.Helper()
	tr, err := NewTransform(src, dest)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTransform_apply(t *testing.T) {
	for _, test := range []struct{ src, dest, subject, want string }{
		{"a", "b", "a", "b"},
		{"a", "b", "a.b", ""},
		{"", "x.>", "a.b", "x.a.b"},
		{">", "x.>", "a", "x.a"},
		{"a.>", ">", "a.b.c", "b.c"},
		{"a.*.>", "$1.>", "a.b.c.d", "b.c.d"},
		{"fw.*.>", "y.>", "fw.a", ""},
		{"w.*.*", "w2.{{wildcard(2)}}.$1", "w.a.b", "w2.b.a"},
		{"w.*.*", "w2.{{ Wildcard( 2 ) }}", "w.a.b", "w2.b"},
		{"w.*", "w2.{{wildcard (1)}}.{{wildcard(01)}}", "w.a", "w2.a.a"},
		{"w.*", "w2", "w.a", "w2"},
		// Not the short form of a wildcard.
		{"w.*", "$0.$x.$.a$1", "w.a", "$0.$x.$.a$1"},
		// Functions stand for whole tokens.
		{"w.*", "x{{wildcard(1)}}", "w.a", "x{{wildcard(1)}}"},

		{"p.*.*", "p.{{partition(5,1,2)}}", "p.foo.bar", "p.0"},
		{"p.*.*", "p.{{Partition(5,1,2)}}", "p.a.b", "p.1"},
		{"pn.*", "p.{{partition(3)}}", "pn.x", "p.0"},
		{"pn.*", "p.{{partition(3)}}", "pn.foo", "p.1"},
		{"pn.*", "p.{{partition(0)}}", "pn.foo", "p.0"},
		{"pn.*", "p.{{partition(-3)}}", "pn.foo", "p.0"},
		{"pn.x", "p.{{partition(3)}}", "pn.x", "p.0"},

		{"s.*", "s.{{SplitFromLeft(1,3)}}", "s.abcdefg", "s.abc.defg"},
		{"s.*", "s.{{splitfromleft(1,3)}}", "s.abc", "s.abc"},
		{"s.*", "s.{{splitFromLeft(1,3)}}", "s.ab", "s.ab"},
		{"s.*", "s.{{SplitFromRight(1,3)}}", "s.abcdefg", "s.abcd.efg"},
		{"s.*", "s.{{SplitFromRight(1,3)}}", "s.abc", "s.abc"},
		{"s.*", "s.{{SliceFromLeft(1,3)}}", "s.abcdefg", "s.abc.def.g"},
		{"s.*", "s.{{SliceFromLeft(1,3)}}", "s.abcdef", "s.abc.def"},
		{"s.*", "s.{{SliceFromLeft(1,0)}}", "s.abc", "s.abc"},
		{"s.*", "s.{{SliceFromRight(1,3)}}", "s.abcdefg", "s.a.bcd.efg"},
		{"s.*", "s.{{SliceFromRight(1,3)}}", "s.abcdef", "s.abc.def"},
		{"s.*", "s.{{SliceFromRight(1,-3)}}", "s.abcdef", "s.abcdef"},
		{"s.*", "s.{{Split(1,-)}}", "s.a-b-c", "s.a.b.c"},
		{"s.*", "s.{{Split(1,-)}}", "s.-a--b-", "s.a.b"},
		{"s.*", "s.{{Split(1,-)}}", "s.abc", "s.abc"},
		{"s.*", "s.{{Split(1,-)}}", "s.-", ""},
		{"s.*", "s.{{Split(1,ab)}}", "s.1ab2a3b", "s.1.2a3b"},
		{"s.*", "s.{{Left(1,3)}}", "s.abcdefg", "s.abc"},
		{"s.*", "s.{{left(1,3)}}", "s.ab", "s.ab"},
		{"s.*", "s.{{Right(1,3)}}", "s.abcdefg", "s.efg"},
		{"s.*", "s.{{right(1,9)}}", "s.abc", "s.abc"},
		{"s", "s.{{Random(7)}}", "s", "s.6"},
		{"s", "s.{{random(0)}}", "s", "s.0"},
		{"s.>", "{{Random(7)}}.>", "s.a", "6.a"},
		// A published wildcard is a token like others.
		{"s.*", "x.$1", "s.*", "x.*"},
		{"s.*", "x.$1", "s.", ""},
	} {
		tr := mustTransform(t, test.src, test.dest)
		largest := func(n int) int { return n - 1 }
		got, ok := tr.Apply(test.subject, largest)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%q to %q: Apply(%q) is %q, %v, want %q", test.src, test.dest, test.subject, got, ok, test.want)
		}
		bytes, ok := tr.Append([]byte("x"), []byte(test.subject), largest)
		if string(bytes) != "x"+test.want || ok != (test.want != "") {
			t.Errorf("%q to %q: Append(%q) is %q, %v", test.src, test.dest, test.subject, bytes, ok)
		}
	}
}

func TestNewTransform_refuses(t *testing.T) {
	for _, test := range []struct {
		src, dest string
		want      error
	}{
		{"a.*", "b.{{foo(1)}}", ErrUnknownFunction},
		{"a.*", "b.{{foo}}", ErrUnknownFunction},
		{"a.*", "b.{{}}", ErrUnknownFunction},
		{"a.*", "b.{{SPLITFROMLEFT(1,2)}}", ErrUnknownFunction},
		{"a.*", "b.$2", ErrWildcardIndex},
		{"a.b", "b.$1", ErrWildcardIndex},
		{"a.*", "b.{{wildcard(0)}}", ErrWildcardIndex},
		{"a.*", "b.{{wildcard(2)}}", ErrWildcardIndex},
		{"a.b", "b.{{left(1,2)}}", ErrWildcardIndex},
		{"a.*", "b.{{partition(3,2)}}", ErrWildcardIndex},
		{"a.*", "b.{{partition()}}", ErrTooFewArgs},
		{"a.*", "b.{{split(1)}}", ErrTooFewArgs},
		{"a.*", "b.{{left(1)}}", ErrTooFewArgs},
		{"a.*", "b.{{wildcard(1,2)}}", ErrTooManyArgs},
		{"a.*", "b.{{right(1,2,3)}}", ErrTooManyArgs},
		{"a.*", "b.{{random(1,2)}}", ErrTooManyArgs},
		{"a.*", "b.{{wildcard(x)}}", ErrBadArg},
		{"a.*", "b.{{random(99999999999)}}", ErrBadArg},
		{"a.*", "b.{{split(1,)}}", ErrBadArg},
		{"a.*", "b.*", ErrBadDestination},
		{"a.*", "b c", ErrBadDestination},
		{"a.*", "", ErrBadDestination},
		{"a.*", "b..c", ErrBadDestination},
		{"a.>", "b.>.c", ErrBadDestination},
		{"a.>", "b", ErrBadDestination},
		{"a", "b.>", ErrBadDestination},
	} {
		_, err := NewTransform(test.src, test.dest)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.dest) {
			t.Errorf("%q to %q: got %v, want %v", test.src, test.dest, err, test.want)
		}
	}
	for _, src := range []string{"a..b", "a.>.b", "a b"} {
		if _, err := NewTransform(src, "x"); err == nil || !strings.Contains(err.Error(), "source") {
			t.Errorf("source %q: got %v", src, err)
		}
	}
}

func TestImportTransform(t *testing.T) {
	for _, test := range []struct{ src, dest, want string }{
		{"a.*", "b", "wildcard 1 of the source is not used"},
		{"a.*.*", "b.$2", "wildcard 1 of the source is not used"},
		{"a.*", "b.{{left(1,2)}}", "only use wildcards"},
		{"a", "b.{{random(3)}}", "only use wildcards"},
	} {
		if _, err := NewImportTransform(test.src, test.dest); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q to %q: got %v", test.src, test.dest, err)
		}
	}
	for _, test := range []struct{ src, dest, subject, want string }{
		{"a.*.*", "b.$2.x.{{wildcard(1)}}", "a.1.2", "b.2.x.1"},
		{"a.>", "b.c.>", "a.1.2", "b.c.1.2"},
		{"a.*.>", "$1.>", "a.1.2", "1.2"},
		{"a", "b", "a", "b"},
	} {
		there, err := NewImportTransform(test.src, test.dest)
		if err != nil {
			t.Fatal(err)
		}
		back, err := there.Reverse()
		if err != nil {
			t.Fatal(err)
		}
		got, _ := there.Apply(test.subject, nil)
		again, _ := back.Apply(got, nil)
		if got != test.want || again != test.subject {
			t.Errorf("%q to %q: %q became %q and then %q", test.src, test.dest, test.subject, got, again)
		}
	}
	if tr := mustTransform(t, "a.*", "b"); tr != nil {
		if _, err := tr.Reverse(); err == nil {
			t.Error("a transform that forgets a wildcard was reversed")
		}
	}
}

func TestTransform_appendDoesNotAllocate(t *testing.T) {
	tr := mustTransform(t, "s.*.*.>", "x.{{partition(8,1,2)}}.{{SliceFromLeft(2,2)}}.$1.>")
	dst, s := make([]byte, 0, 256), []byte("s.hall.sensor17.temp.now")
	if n := testing.AllocsPerRun(100, func() { tr.Append(dst, s, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTransform(f *testing.F) {
	f.Add("w.*.*", "w2.{{wildcard(2)}}.$1", "w.a.b")
	f.Add("s.*.>", "{{Split(1,-)}}.{{SliceFromRight(1,2)}}.>", "s.a-b.c")
	f.Add("p.*", "{{partition(10,1)}}.{{random(3)}}.{{left(1,1)}}", "p.x")
	f.Fuzz(func(t *testing.T, src, dest, subject string) {
		tr, err := NewTransform(src, dest)
		if err != nil {
			return
		}
		got, ok := tr.Apply(subject, func(n int) int { return n - 1 })
		if ok && !wellFormed(got) {
			t.Errorf("%q to %q: %q became %q, which is no subject", src, dest, subject, got)
		}
		if ok && !Match(tr.Source(), subject) {
			t.Errorf("%q to %q took %q", src, dest, subject)
		}
	})
}

func BenchmarkTransform(b *testing.B) {
	tr, err := NewTransform("s.*.*", "x.{{partition(8,1)}}.$2")
	if err != nil {
		b.Fatal(err)
	}
	dst, s := make([]byte, 0, 256), []byte("s.hall.17")
	b.ReportAllocs()
	for b.Loop() {
		tr.Append(dst, s, nil)
	}
}
