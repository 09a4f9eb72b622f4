package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/frondmq/frond/cmd/frond/help"
)

// header is a program header of elf(5).
type header struct{ kind, flags, offset, address, size uint64 }

func (h header) append(b []byte, word int) []byte {
	order := binary.NativeEndian
	if word == 8 {
		b = order.AppendUint32(b, uint32(h.kind))
		b = order.AppendUint32(b, uint32(h.flags))
		for _, v := range []uint64{h.offset, h.address, h.address, h.size, h.size, 0x1000} {
			b = order.AppendUint64(b, v)
		}
		return b
	}
	for _, v := range []uint64{h.kind, h.offset, h.address, h.address, h.size, h.size, h.flags, 0x1000} {
		b = order.AppendUint32(b, uint32(v))
	}
	return b
}

// The segments of a build for ARMv6 whose last constants are in the page before
// its data.
var (
	tableHeader = header{kind: 6, flags: 4, offset: 0x34, address: 0x10034, size: 0xa0}
	textHeader  = header{kind: 1, flags: 5, offset: 0, address: 0x10000, size: 0x50ab20}
	constHeader = header{kind: 1, flags: 4, offset: 0x510000, address: 0x520000, size: 0x42fa08}
	dataHeader  = header{kind: 1, flags: 6, offset: 0x940000, address: 0x950000, size: 0x36890}
	stackHeader = header{kind: 0x6474e551, flags: 6}
)

func TestReadOnly_takes_whole_pages_that_nothing_writes_to(t *testing.T) {
	all := []header{tableHeader, textHeader, constHeader, dataHeader, stackHeader}
	unaligned := []header{tableHeader, {1, 5, 0, 0x10000, 0x50ab20}, {1, 4, 0x50ab20, 0x51bb20, 0x42fa08}, {1, 6, 0x93a528, 0x94c528, 0x36890}}
	for _, test := range []struct {
		name     string
		headers  []header
		at, page uintptr
		want     string
	}{
		{"4 KB pages", all, 0x10034, 0x1000, "[{10000 51a000 0} {520000 94f000 510000}]"},
		{"64 KB pages", all, 0x10034, 0x10000, "[{10000 510000 0} {520000 940000 510000}]"},
		{"at another address", all, 0x7010034, 0x1000, "[{7010000 751a000 0} {7520000 794f000 510000}]"},
		{"segments that share a page", unaligned, 0x10034, 0x1000, "[{10000 51a000 0} {51c000 94b000 50b000}]"},
		{"segments that share a page of 64 KB", unaligned, 0x10034, 0x10000, "[{10000 510000 0} {520000 940000 50f000}]"},
		{"smaller than a page", []header{tableHeader, {1, 4, 0, 0x10000, 0xfff}}, 0x10034, 0x1000, "[]"},
		{"no header of the headers", all[1:], 0x10034, 0x1000, "[]"},
		{"nothing", nil, 0x10034, 0x1000, "[]"},
	} {
		for _, word := range []int{4, 8} {
			var b []byte
			for _, h := range test.headers {
				b = h.append(b, word)
			}
			if got := fmt.Sprintf("%x", readOnly(b, word, test.at, test.page)); got != test.want {
				t.Errorf("%s, words of %d: got %s, want %s", test.name, word, got, test.want)
			}
		}
	}
}

func TestClean_segments_are_those_that_equal_the_file(t *testing.T) {
	segments := []segment{{0x10000, 0x51a000, 0}, {0x520000, 0x94f000, 0x510000}}
	const good = `00010000-0051b000 r-xp 00000000 fe:00 12                                 /usr/bin/frond
Size:               5164 kB
Rss:                2000 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00520000-00950000 r--p 00510000 fe:00 12                                 /usr/bin/frond
Rss:                2000 kB
Anonymous:             0 kB
00950000-00987000 rw-p 00940000 fe:00 12                                 /usr/bin/frond
Rss:                 220 kB
Anonymous:             0 kB
`
	mapped := func(line string) string { return line + "\nRss:     2000 kB\nAnonymous:     0 kB\n" }
	for _, test := range []struct{ name, smaps, want string }{
		{"a kernel's", good, "[{10000 51a000 0} {520000 94f000 510000}]"},
		// qemu 7.2 shows the mappings of the machine around, in which all is 4 KB
		// further up: there the constants seem to reach into what is the data.
		{"addresses of the machine around an emulator", mapped("00011000-0051c000 r--p 00000000 fe:00 12 /usr/bin/frond") +
			mapped("00521000-00951000 r--p 00510000 fe:00 12 /usr/bin/frond") +
			mapped("00951000-00988000 rw-p 00940000 fe:00 12 /usr/bin/frond"), "[]"},
		{"one that holds the segment, at another offset", mapped("00010000-00990000 r--p 00001000 fe:00 12 /usr/bin/frond"), "[]"},
		{"adjacent segments in one", mapped("00010000-00950000 r-xp 00000000 fe:00 12 /usr/bin/frond"), "[{10000 51a000 0} {520000 94f000 510000}]"},
		{"made up", "00010000-0051b000 r-xp 00000000 fe:00 12 /usr/bin/frond\nSize: 5164 kB\nRss: 0 kB\nAnonymous: 0 kB\n", "[]"},
		{"changed", "00010000-0051b000 r-xp 00000000 fe:00 12 /usr/bin/frond\nRss: 2000 kB\nAnonymous: 4 kB\n", "[]"},
		{"in part", mapped("00010000-0051a000 r-xp 00000000 fe:00 12 /usr/bin/frond") +
			mapped("00520000-0094e000 r--p 00510000 fe:00 12 /usr/bin/frond"), "[{10000 51a000 0}]"},
		{"writable", mapped("00010000-0051b000 rwxp 00000000 fe:00 12 /usr/bin/frond") +
			mapped("00520000-00950000 rw-p 00510000 fe:00 12 /usr/bin/frond"), "[]"},
		{"another file", mapped("00010000-0051b000 r-xp 00000000 fe:00 13 /lib/libc.so.6"), "[]"},
		{"no file", mapped("00010000-0051b000 r-xp 00000000 00:00 0"), "[]"},
		{"no address", mapped("zz-0051b000 r-xp 00000000 fe:00 12 /usr/bin/frond"), "[]"},
		{"no offset", mapped("00010000-0051b000 r-xp zz fe:00 12 /usr/bin/frond"), "[]"},
	} {
		if got := fmt.Sprintf("%x", clean(test.smaps, "/usr/bin/frond", segments)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

var variable = []byte("written to")

// The program finds its own code and texts, and no variable.
func TestConstants_are_code_and_texts(t *testing.T) {
	segments := constants()
	in := func(at uintptr) bool {
		return slices.ContainsFunc(segments, func(s segment) bool { return s.from <= at && at < s.to })
	}
	text := "a text that is in the program's file"
	if at := reflect.ValueOf(trim).Pointer(); !in(at) {
		t.Errorf("%x, code, is not in %x", at, segments)
	}
	if at := uintptr(unsafe.Pointer(unsafe.StringData(text))); !in(at) {
		t.Errorf("%x, a text, is not in %x", at, segments)
	}
	if at := uintptr(unsafe.Pointer(&variable)); in(at) {
		t.Errorf("%x, a variable, is in %x", at, segments)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := clean(string(smaps), exe, segments); !slices.Equal(got, segments) {
		t.Errorf("%x of %x can be given back", got, segments)
	}
}

// What is trimmed comes back.
func TestTrim_takes_nothing_that_is_needed(t *testing.T) {
	for range 3 {
		trim()
		if got := fmt.Sprint(help.Usage("frond")[:6]); got == "" {
			t.Fatal("no text left")
		}
	}
}
