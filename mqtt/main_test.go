package mqtt

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine of the room outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(10 * time.Second); code == 0 && left != "" {
		fmt.Println("goroutines were left behind:\n" + left)
		code = 1
	}
	os.Exit(code)
}

// leaked waits for the goroutines of connections and listeners to end and
// gives the stacks of those that do not.
func leaked(wait time.Duration) string {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(wait)
	for {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for _, stack := range strings.Split(string(buf), "\n\n") {
			if strings.Contains(stack, "/mqtt.(*") && !strings.Contains(stack, "/mqtt.TestMain") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		if time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
		<-tick.C
	}
}
