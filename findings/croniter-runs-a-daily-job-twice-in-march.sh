#!/usr/bin/env bash
# croniter 1.3.5 (Debian 12's python3-croniter): "0 8 * * *" from a time with a zoneinfo zone, of the
# standard library, comes twice on the Sunday in March, at 7:00 and 8:00, and an hour late, at 9:00, on the one in
# October; "30 2 * * *" is late on the Monday after. Differences of time are taken on the
# clock's face, as Python does within one zoneinfo zone. With a zone of pytz the same lines are right.
# Needs apt (Debian 12) and python3 with time zones.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq python3-croniter=1.3.5-3 python3-tz python3-dateutil python3-six 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
cat > run.py <<'PY'
import sys, zoneinfo
from datetime import datetime
sys.path.insert(0, 'root/usr/lib/python3/dist-packages')
import pytz
from croniter import croniter
for line, start in ('0 8 * * *', datetime(2026, 3, 28, 12)), ('0 8 * * *', datetime(2026, 10, 24, 12)), ('30 2 * * *', datetime(2026, 10, 24, 12)):
    for name, at in ('zoneinfo', start.replace(tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))), ('pytz    ', pytz.timezone('Europe/Berlin').localize(start)):
        jobs = croniter(line, at)
        print(f'{line:10}', name, *[jobs.get_next(datetime).strftime('%d.%m.T%H:%M') for _ in range(3)])
PY
python3 run.py | tee said
cat >want <<'WANT'
0 8 * * *  zoneinfo 29.03.T07:00 29.03.T08:00 30.03.T08:00
0 8 * * *  pytz     29.03.T08:00 30.03.T08:00 31.03.T08:00
0 8 * * *  zoneinfo 25.10.T09:00 26.10.T08:00 27.10.T08:00
0 8 * * *  pytz     25.10.T08:00 26.10.T08:00 27.10.T08:00
30 2 * * * zoneinfo 25.10.T02:30 26.10.T03:30 27.10.T02:30
30 2 * * * pytz     25.10.T02:30 26.10.T02:30 27.10.T02:30
WANT
cmp said want
