package core

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestCut(t *testing.T) {
	for _, s := range []string{"", "plain", strings.Repeat("x", 256)} {
		if Cut(s) != s {
			t.Errorf("%q became %q", s, Cut(s))
		}
	}
	for _, s := range []string{strings.Repeat("x", 60_000), strings.Repeat("ü", 3000), "x" + strings.Repeat("\U0001F600", 300)} {
		got := Cut([]byte(s))
		if end := fmt.Sprintf("... (%d bytes)", len(s)); !strings.HasSuffix(got, end) || len(got) > 256+len(end) ||
			len(got) < 256-utf8.UTFMax+len(end) || !utf8.ValidString(got) {
			t.Errorf("%d bytes became %q", len(s), got)
		}
	}
	// What is quoted gets longer: it is the written form that is bounded.
	for _, s := range []string{strings.Repeat("\xff", 257), strings.Repeat("\x00", 60_000), strings.Repeat("\u200b", 300)} {
		if got := Cut(s); len(strconv.Quote(got)) > 256+30 || !strings.HasSuffix(got, fmt.Sprintf("... (%d bytes)", len(s))) {
			t.Errorf("%d bytes became %q", len(s), got)
		}
	}
}

func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Repeats
		var mu sync.Mutex
		var lines []string
		say := func(key string, times int) {
			for range times {
				r.Say(key, func(more int) {
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, fmt.Sprint(key, more))
				})
			}
		}
		taken := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			got := lines
			lines = nil
			slices.Sort(got)
			return got
		}
		expect := func(want ...string) {
			t.Helper()
			if got := taken(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		say("a", 813)
		expect("a0")
		<-time.After(30 * time.Second)
		say("a", 1)
		say("b", 1)
		expect("b0")
		<-time.After(31 * time.Second)
		expect("a813")
		say("a", 1)
		expect("a0") // a new minute
		<-time.After(time.Hour)
		expect() // nothing to tell of one line
		for i := range 2 * maxRepeats {
			say(fmt.Sprint("k", i, " "), 1)
		}
		if got := taken(); len(got) != maxRepeats+1 {
			t.Errorf("%d lines of more keys than are remembered", len(got))
		}
		<-time.After(time.Hour)
		if got := taken(); len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprint(" ", maxRepeats-1)) {
			t.Errorf("the others: %q", got)
		}
		say("z", 3)
		expect("z0")
		r.Stop()
		expect("z2")
		say("z", 2)
		expect("z0", "z0")
	})
}
