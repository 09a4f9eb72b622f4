#!/usr/bin/env bash
# hashicorp/cronexpr 1.1.3, robfig/cron 3.0.1, adhocore/gronx 1.20.4, and croner 11.0.1
# (npm): two lines that every crontab knows mean other days in each of them. "5-7"
# (Friday to Sunday): cronexpr takes it and leaves the Sunday out, though "7" alone
# is Sunday; robfig refuses any 7; gronx and croner run on three days. "*/2" as
# day of the month with "1" as day of the week: cron (crontab(5)), and gronx with it, wants
# both when a field begins with a star, the other three want either, so that a job for
# two Mondays a month runs 19 times in March 2026. A schedule that moves from a device
# to a web page has to be read by the same library.
# Needs go, node and npm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
go mod init days >/dev/null 2>&1
go get github.com/hashicorp/cronexpr@v1.1.3 github.com/robfig/cron/v3@v3.0.1 github.com/adhocore/gronx@v1.20.4 >/dev/null 2>&1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund croner@11.0.1 >/dev/null
cat > main.go <<'GO'
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/hashicorp/cronexpr"
	"github.com/robfig/cron/v3"
)

// show prints the days of March 2026 on which next runs.
func show(name string, next func(time.Time) (time.Time, error)) {
	var days []string
	at := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	for {
		t, err := next(at)
		if err != nil {
			fmt.Printf("%s: refused\n", name)
			return
		}
		if t.Month() != time.March {
			break
		}
		days = append(days, t.Format("2"))
		at = t
	}
	fmt.Printf("%s: %s\n", name, strings.Join(days, " "))
}

func main() {
	for _, spec := range []string{"0 0 * * 5-7", "0 0 */2 * 1"} {
		show("cronexpr "+spec, func(t time.Time) (time.Time, error) {
			e, err := cronexpr.Parse(spec)
			if err != nil {
				return t, err
			}
			return e.Next(t), nil
		})
		show("robfig "+spec, func(t time.Time) (time.Time, error) {
			s, err := cron.ParseStandard(spec)
			if err != nil {
				return t, err
			}
			return s.Next(t), nil
		})
		show("gronx "+spec, func(t time.Time) (time.Time, error) { return gronx.NextTickAfter(spec, t, false) })
	}
}
GO
cat > run.mjs <<'JS'
import { Cron } from 'croner'
for (const spec of ['0 0 * * 5-7', '0 0 */2 * 1']) {
  const runs = new Cron(spec, { timezone: 'UTC', paused: true }).nextRuns(40, new Date('2026-02-28T23:59:59Z'))
  console.log(`croner ${spec}: ` + runs.filter(d => d.getUTCMonth() === 2 && d.getUTCFullYear() === 2026).map(d => d.getUTCDate()).join(' '))
}
JS
{ go run .; TZ=UTC node run.mjs; } | sort | tee said
three='1 6 7 8 13 14 15 20 21 22 27 28 29'
either='1 2 3 5 7 9 11 13 15 16 17 19 21 23 25 27 29 30 31'
sort >want <<WANT
cronexpr 0 0 * * 5-7: 6 7 13 14 20 21 27 28
robfig 0 0 * * 5-7: refused
gronx 0 0 * * 5-7: $three
croner 0 0 * * 5-7: $three
cronexpr 0 0 */2 * 1: $either
robfig 0 0 */2 * 1: $either
gronx 0 0 */2 * 1: 9 23
croner 0 0 */2 * 1: $either
WANT
cmp said want
