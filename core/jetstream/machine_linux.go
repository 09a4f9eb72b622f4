package jetstream

import (
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// machineRunID is the id that the kernel gives this run of the machine.
var machineRunID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

// machineUp tells which run of the machine this is and how long it runs, sleep
// included. That is CLOCK_BOOTTIME; the clock of time.Now stops in a sleep.
func machineUp() (run string, up int64) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0
	}
	return machineRunID(), ts.Nano()
}
