package wire

import (
	"bytes"
	"fmt"
	"testing"
)

const headers = "NATS/1.0\r\nA: one\r\na:two\r\nB:   three \r\nA: four\r\nEmpty:\r\nNo colon\r\nAB: x: y\r\n\r\n"

func TestHeaderGet(t *testing.T) {
	for _, test := range []struct {
		hdr, name string
		want      string // "none" for nil
	}{
		{headers, "A", "one"},
		{headers, "a", "two"},
		{headers, "B", "three "},
		{headers, "Empty", ""},
		{headers, "AB", "x: y"},
		{headers, "b", "none"},
		{headers, "No", "none"},
		{headers, "NATS/1.0", "none"},
		{headers, "x", "none"},
		{"", "A", "none"},
		{"NATS/1.0\r\n\r\n", "A", "none"},
		{"A: b\r\nB: c\r\n", "A", "none"}, // the first line is never a header
		{"A: b\r\nB: c\r\n", "B", "c"},
		{"NATS/1.0\r\nA: b", "A", "b"},
		{"NATS/1.0\nA: b\n\n", "A", "none"},
		{"NATS/1.0\r\nA: b\rc\r\n\r\n", "A", "b\rc"},
	} {
		if got := HeaderGet([]byte(test.hdr), test.name); optional(got) != test.want {
			t.Errorf("HeaderGet(%q, %q) is %q", test.hdr, test.name, got)
		}
	}
}

func TestHeaderSetAndDelete(t *testing.T) {
	for _, test := range []struct {
		what string
		got  []byte
		want string
	}{
		{"set on nothing", HeaderSet(nil, nil, "A", "b"), "NATS/1.0\r\nA: b\r\n\r\n"},
		{"set behind others", HeaderSet(nil, []byte("NATS/1.0\r\nA: b\r\n\r\n"), "B", "c"), "NATS/1.0\r\nA: b\r\nB: c\r\n\r\n"},
		{"set in place of all", HeaderSet(nil, []byte("NATS/1.0\r\nA: b\r\nX:y\r\nA:c\r\n\r\n"), "A", "d"), "NATS/1.0\r\nX:y\r\nA: d\r\n\r\n"},
		{"set another case", HeaderSet(nil, []byte("NATS/1.0\r\na: b\r\n\r\n"), "A", "d"), "NATS/1.0\r\na: b\r\nA: d\r\n\r\n"},
		{"set keeps a status", HeaderSet(nil, []byte("NATS/1.0 503\r\n\r\n"), "A", "d"), "NATS/1.0 503\r\nA: d\r\n\r\n"},
		{"set without end", HeaderSet(nil, []byte("NATS/1.0\r\nA: b"), "B", "c"), "NATS/1.0\r\nA: b\r\nB: c\r\n\r\n"},
		{"delete", HeaderDelete(nil, []byte("NATS/1.0\r\nA: b\r\nX: y\r\nA: c\r\n\r\n"), "A"), "NATS/1.0\r\nX: y\r\n\r\n"},
		{"delete what is not there", HeaderDelete(nil, []byte("NATS/1.0\r\nA: b\r\n\r\n"), "B"), "NATS/1.0\r\nA: b\r\n\r\n"},
		{"delete the last", HeaderDelete([]byte(">"), []byte("NATS/1.0\r\nA: b\r\n\r\n"), "A"), ""},
		{"delete the last, with status", HeaderDelete(nil, []byte("NATS/1.0 100\r\nA: b\r\n\r\n"), "A"), "NATS/1.0 100\r\n\r\n"},
		{"delete from nothing", HeaderDelete(nil, nil, "A"), ""},
		{"delete by prefix", HeaderDeletePrefix(nil, []byte("NATS/1.0\r\nNats-A: b\r\nX: y\r\nNats-B: c\r\nnats-c: d\r\n\r\n"), "Nats-"), "NATS/1.0\r\nX: y\r\nnats-c: d\r\n\r\n"},
		{"delete all by prefix", HeaderDeletePrefix(nil, []byte("NATS/1.0\r\nNats-A: b\r\n\r\n"), "Nats-"), ""},
	} {
		if got := bytes.TrimPrefix(test.got, []byte(">")); string(got) != test.want {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
		}
	}
}

func TestHeaderEach(t *testing.T) {
	var got []string
	HeaderEach([]byte(headers), func(name, value []byte) bool {
		got = append(got, fmt.Sprintf("%s=%s", name, value))
		return len(got) < 5
	})
	if want := "[A=one a=two B=three  A=four Empty=]"; fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
	got = nil
	HeaderEach([]byte("NATS/1.0\r\nA: b\r\nNo colon\r\nB: c\r\n\r\nC: behind the end\r\n"), func(name, value []byte) bool {
		got = append(got, fmt.Sprintf("%s=%s", name, value))
		return true
	})
	if want := "[A=b B=c]"; fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
}

func TestStatus(t *testing.T) {
	if got := AppendStatus(nil, 404, "No Messages"); string(got) != "NATS/1.0 404 No Messages\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if got := AppendStatus(nil, 503, ""); string(got) != "NATS/1.0 503\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	long := append(AppendHeader(AppendStatusLine(nil, 409, "Exceeded"), "Nats-Pending", "1"), "\r\n"...)
	for _, test := range []struct {
		hdr  string
		code int
		text string
	}{
		{string(long), 409, "Exceeded"},
		{"NATS/1.0 100 FlowControl Request\r\n\r\n", 100, "FlowControl Request"},
		{"NATS/1.0 503\r\n\r\n", 503, ""},
		{"NATS/1.0   404   x \r\n\r\n", 404, "x"},
		{"NATS/1.0\r\n\r\n", 0, ""},
		{"NATS/1.0 \r\n\r\n", 0, ""},
		{"NATS/1.0 40\r\n\r\n", 0, ""},
		{"NATS/1.0 4040\r\n\r\n", 0, ""},
		{"NATS/1.0 4x4\r\n\r\n", 0, ""},
		{"HTTP/1.1 404\r\n\r\n", 0, ""},
		{"", 0, ""},
	} {
		if code, text := HeaderStatus([]byte(test.hdr)); code != test.code || string(text) != test.text {
			t.Errorf("HeaderStatus(%q) is %d, %q", test.hdr, code, text)
		}
	}
}

func TestCleanHeaderText(t *testing.T) {
	if got := CleanHeaderText("a\r\nB: c"); got != "a  B: c" {
		t.Errorf("got %q", got)
	}
	if got := CleanHeaderText("plain"); got != "plain" {
		t.Errorf("got %q", got)
	}
}

func TestHeader_doesNotAllocate(t *testing.T) {
	hdr, dst := []byte(headers), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		HeaderGet(hdr, "AB")
		HeaderStatus(hdr)
		dst = HeaderSet(dst[:0], hdr, "A", "new")
		dst = HeaderDelete(dst[:0], hdr, "A")
		dst = HeaderDeletePrefix(dst[:0], hdr, "A")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(headers), "A")
	f.Add([]byte("NATS/1.0 503\r\n\r\n"), "X")
	f.Add([]byte("garbage"), "")
	f.Fuzz(func(t *testing.T, hdr []byte, name string) {
		HeaderStatus(hdr)
		HeaderEach(hdr, func(_, _ []byte) bool { return true })
		if HeaderGet(HeaderDelete(nil, hdr, name), name) != nil {
			t.Errorf("%q is still in %q", name, hdr)
		}
		if name == "" || bytes.ContainsAny([]byte(name), ":\r\n ") {
			return
		}
		if got := HeaderGet(HeaderSet(nil, hdr, name, "value"), name); string(got) != "value" {
			t.Errorf("%q set in %q gives %q", name, hdr, got)
		}
	})
}

func BenchmarkHeaderGet(b *testing.B) {
	hdr := []byte("NATS/1.0\r\nContent-Type: application/json\r\nTraceparent: 00-4bf9-00f0-01\r\nNats-Msg-Id: 17\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		HeaderGet(hdr, "Nats-Msg-Id")
	}
}
