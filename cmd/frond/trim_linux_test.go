package main

import (
	"fmt"
	"testing"

	"github.com/frondmq/frond/cmd/frond/help"
)

func TestCleanMappings_are_those_that_equal_the_file(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 fe:00 12                                 /usr/bin/frond
Size:               1024 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00500000-00600000 r--p 00100000 fe:00 12                                 /usr/bin/frond
Anonymous:             0 kB
00600000-00610000 r--p 00200000 fe:00 12                                 /usr/bin/frond
Anonymous:             4 kB
00610000-00620000 rw-p 00210000 fe:00 12                                 /usr/bin/frond
Anonymous:             0 kB
00700000-00800000 r-xp 00000000 fe:00 13                                 /lib/libc.so.6
Anonymous:             0 kB
00800000-00900000 r-xp 00000000 00:00 0
Anonymous:             0 kB
zz-00900000 r-xp 00000000 fe:00 12                                 /usr/bin/frond
Anonymous:             0 kB
`
	got := fmt.Sprintf("%x", cleanMappings(smaps, "/usr/bin/frond"))
	if got != "[{400000 500000} {500000 600000}]" {
		t.Errorf("got %s", got)
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
