package mqtt

import (
	"strings"
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
		got, err := appendSubject(nil, []byte(c.topic), 0)
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
	for _, topic := range []string{"", "a+", "a/#", "a\x00", "a\xff"} {
		if got, err := appendSubject(nil, []byte(topic), 0); err == nil {
			t.Errorf("%q became %q", topic, got)
		}
	}
}

// What no subject can hold has an escape, and so has a level that is a wildcard
// of NATS. It is reversible, and has no wildcards.
func TestTopic_escapes(t *testing.T) {
	for _, c := range []struct{ topic, subject string }{
		{"a b", "a/%20b"}, {" ", "/%20"}, {"a/ ", "a./%20"}, {" /b", "/%20.b"}, {"/ /", "/./%20./"}, {"a .b", "a/%20//b"}, {". ", "///%20"},
		{"a\tb", "a/%09b"}, {"a\n\r", "a/%0A/%0D"}, {"a\f", "a/%0C"}, {"a\x7f", "a/%7F"},
		{"*", "/%2A"}, {">", "/%3E"}, {"a/*", "a./%2A"}, {"a/>/b", "a./%3E.b"}, {"*/a", "/%2A.a"}, {"a//>", "a././%3E"},
		{"a*/>b/**", "a*.>b.**"}, // not a level, so no wildcard
		{"a%20b", "a%20b"}, {"/%20", "/.%20"}, {"./%20", "//.%20"}, {"a//%20", "a./.%20"}, {".%20", "//%20"},
	} {
		got, err := appendSubject(nil, []byte(c.topic), 0)
		if err != nil || string(got) != c.subject {
			t.Errorf("%q: %q, %v; want %q", c.topic, got, err, c.subject)
		}
		if !subject.ValidLiteral(string(got)) {
			t.Errorf("%q gives %q, no valid literal subject", c.topic, got)
		}
		if back := appendTopic(nil, got); string(back) != c.topic {
			t.Errorf("%q comes back as %q", c.topic, back)
		}
		if strings.Contains(string(got), "/%") {
			if _, err := appendSubject(nil, []byte(c.topic), noEscape); err != errTopicChar && !strings.Contains(c.topic, "%") {
				t.Errorf("%q is not refused: %v", c.topic, err)
			}
		}
	}
}

func TestTopic_fromAnySubject(t *testing.T) {
	for subj, want := range map[string]string{"x/y": "xy", "a./b": "a/b", "a.b": "a/b", "$SYS.x": "$SYS/x",
		"a/%41": "a%41", "a/%2a": "a%2a", "a/%2": "a%2", "a/%00": "a%00", "a/%20": "a "} {
		if got := appendTopic(nil, []byte(subj)); string(got) != want {
			t.Errorf("%q: %q, want %q", subj, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	for filter, want := range map[string][]string{
		"foo/+/#": {"foo.*.>", "foo.*"}, "#": {">"}, "+": {"*"}, "a/#": {"a.>", "a"}, "a/b": {"a.b"}, "/#": {"/.>", "/"}, "+/a": {"*.a"},
		"a b/#": {"a/%20b.>", "a/%20b"}, "a/*": {"a./%2A"}, ">": {"/%3E"}, "+/>": {"*./%3E"},
	} {
		got, err := filterSubjects(filter, 0)
		if err != nil || len(got) != len(want) || got[0] != want[0] || len(got) == 2 && got[1] != want[1] {
			t.Errorf("%q: %q, %v; want %q", filter, got, err, want)
		}
		if !validFilter(filter) {
			t.Errorf("%q is refused", filter)
		}
	}
	for _, filter := range []string{"a#", "a+", "+a/b", "#/a", "a/#/b"} {
		if validFilter(filter) {
			t.Errorf("%q is accepted", filter)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range []string{"a/b", "/", "//", "a.b/", "$x/.", "ü", "a b", "*", "a/>", ".%20", "/%2A", "./ "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		s, err := appendSubject(nil, []byte(topic), 0)
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
