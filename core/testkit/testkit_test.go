package testkit

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that notes its end instead of failing ours.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.said = format
	runtime.Goexit()
}

func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		Eventually(t, "ten milliseconds", func() bool { return time.Since(start) >= 10*time.Millisecond })
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Eventually(f, "nothing", func() bool { return false })
			f.said = "went on"
		}()
		<-done
		if f.said != "never happened: %s" || time.Since(start) < patience {
			t.Errorf("after %v: %q", time.Since(start), f.said)
		}
		if Within(0, func() bool { return false }) || !Within(0, func() bool { return true }) {
			t.Error("the verdict is not that of the last look")
		}
	})
}

func TestLog(t *testing.T) {
	var l Log
	l.Logger().Info("one", "n", 1)
	l.Logger().Debug("hidden")
	l.Logger().Warn("two", "n", 1)
	if l.Count("n=1") != 2 || l.Contains("hidden") || l.Line("two") == "" || l.Line("three") != "" || l.Len() != len(l.String()) {
		t.Errorf("%q", l.String())
	}
}
