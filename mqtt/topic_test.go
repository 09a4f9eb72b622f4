package mqtt

import (
	"testing"

	"github.com/frondmq/frond/core/subject"
)

func TestTopic_toSubject(t *testing.T) {
	for _, c := range []struct{ topic, subject string }{
		{"foo/bar", "foo.bar"}, {"/foo", "/.foo"}, {"foo/", "foo./"}, {"/foo/bar/", "/.foo.bar./"},
		{"foo//bar", "foo./.bar"}, {"foo///bar", "foo././.bar"}, {"//foo", "/./.foo"}, {"foo/.bar", "foo.//bar"},
		{"/./", "/.//./"}, {"/", "/./"}, {"//", "/././"}, {".", "//"}, {"..", "////"}, {"foo.bar", "foo//bar"},
		{".foo", "//foo"}, {"foo./bar", "foo//.bar"}, {"a/./b", "a.//.b"}, {"ü/{x}@$", "ü.{x}@$"},
	} {
		got, err := appendSubject(nil, []byte(c.topic), false)
		if err != nil || string(got) != c.subject {
			t.Errorf("%q: %q, %v; want %q", c.topic, got, err, c.subject)
		}
		if !subject.ValidLiteral(string(got)) {
			t.Errorf("%q gives %q, no valid subject", c.topic, got)
		}
		if back := appendTopic(nil, got); string(back) != c.topic {
			t.Errorf("%q comes back as %q", c.topic, back)
		}
	}
}

func TestTopic_refused(t *testing.T) {
	for _, topic := range []string{"", "a+", "a/#", "a b", "a\tb", "a\x7f", "a\x00", "a\xff", "a\n"} {
		if got, err := appendSubject(nil, []byte(topic), false); err == nil {
			t.Errorf("%q became %q", topic, got)
		}
	}
}

func TestTopic_fromAnySubject(t *testing.T) {
	for subj, want := range map[string]string{"x/y": "xy", "a./b": "a/b", "a.b": "a/b", "$SYS.x": "$SYS/x"} {
		if got := appendTopic(nil, []byte(subj)); string(got) != want {
			t.Errorf("%q: %q, want %q", subj, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	for filter, want := range map[string][]string{
		"foo/+/#": {"foo.*.>", "foo.*"}, "#": {">"}, "+": {"*"}, "a/#": {"a.>", "a"}, "a/b": {"a.b"}, "/#": {"/.>", "/"}, "+/a": {"*.a"},
	} {
		got, err := filterSubjects(filter)
		if err != nil || len(got) != len(want) || got[0] != want[0] || len(got) == 2 && got[1] != want[1] {
			t.Errorf("%q: %q, %v; want %q", filter, got, err, want)
		}
		if !validFilter(filter) {
			t.Errorf("%q is refused", filter)
		}
	}
	for _, filter := range []string{"a#", "a+", "+a/b", "#/a", "a/#/b", "*", "a/>"} {
		if validFilter(filter) {
			t.Errorf("%q is accepted", filter)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range []string{"a/b", "/", "//", "a.b/", "$x/.", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		s, err := appendSubject(nil, []byte(topic), false)
		if err != nil {
			return
		}
		// A topic may spell a NATS wildcard as a level; publishing takes it literally.
		if !subject.Valid(string(s)) && subject.IsLiteral(string(s)) {
			t.Fatalf("%q gives %q", topic, s)
		}
		if back := appendTopic(nil, s); string(back) != topic {
			t.Fatalf("%q gives %q gives %q", topic, s, back)
		}
	})
}
