package monitor

import (
	"strconv"
	"time"
)

// Uptime writes a duration as monitoring shows it, in whole seconds: "3s",
// "2m5s", "1h0m3s", "2d3h4m5s", "1y2d3h4m5s", a year being 365 days.
func Uptime(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	units := [...]struct {
		name string
		secs int64
	}{{"y", 365 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	var out []byte
	for _, u := range units {
		n := s / u.secs
		s %= u.secs
		if n > 0 || len(out) > 0 || u.secs == 1 {
			out = strconv.AppendInt(out, n, 10)
			out = append(out, u.name...)
		}
	}
	return string(out)
}
