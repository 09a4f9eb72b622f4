#!/usr/bin/env bash
# collectd 5.12.0 (Debian 12), plugin mqtt: the text of a publication, time and
# values with colons between, ends in a byte of zero, which is part of the payload.
# mosquitto_sub and other tools print it as nothing. Who converts the last value with a
# strict parser (Go's ParseFloat, a JSON rule engine) gets an error for a number that looks
# right in every log, and who converts the text into a subject or a file name does as well.
# Needs apt (Debian 12), python3 and gcc.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/mosquitto.lib"
( cd "$dir/debs" && apt-get download -qq collectd-core=5.12.0-14 libltdl7 2>/dev/null )
for deb in "$dir"/debs/collectd*.deb "$dir"/debs/libltdl*.deb; do dpkg-deb -x "$deb" "$dir/root"; done
start ''
cat >"$dir/collectd.conf" <<CONF
Hostname "edge"
BaseDir "$dir"
PIDFile "$dir/pid"
PluginDir "$dir/root/usr/lib/collectd"
TypesDB "$dir/root/usr/share/collectd/types.db"
Interval 1
LoadPlugin load
LoadPlugin mqtt
<Plugin mqtt>
  <Publish "edge">
    Host "127.0.0.1"
    Port $port
  </Publish>
</Plugin>
CONF
"$dir/root/usr/sbin/collectd" -f -C "$dir/collectd.conf" >"$dir/collectd.log" 2>&1 & collectd=$!
"$SUB" -p "$port" -t 'collectd/#' -C 1 -W 15 -F %x >"$dir/got" || true
kill $collectd; wait $collectd 2>/dev/null || true
hex=$(cat "$dir/got")
echo "collectd 5.12.0 published $(printf %s "$hex" | python3 -c 'import sys; print(bytes.fromhex(sys.stdin.read()))')"
[ -n "$hex" ] && [ "${hex: -2}" = 00 ]
