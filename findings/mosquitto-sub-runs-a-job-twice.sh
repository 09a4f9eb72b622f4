#!/usr/bin/env bash
# mosquitto_sub 2.0.11 (Debian 12) with -C 1, a kept session and QoS 1, the way a shell
# script takes one job at a time: it prints the message and disconnects before
# the PUBACK has left, so that the next call gets the same job again, some many
# times, on a sound network. -V mqttv5 does not: there each job comes once. (Messages may come
# twice at QoS 1; that they do with nothing lost is what one would not guess.)
# Needs apt (Debian 12), python3 and gcc.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/mosquitto.lib"
start ''
# take VERSION OPTIONS: queues ten jobs and takes one ten times.
take() {
  local v=$1; shift
  "$SUB" -p "$port" -V "$v" "$@" -i "taker-$v" -c -q 1 -t "job/$v" -E
  for i in $(seq 10); do "$PUB" -p "$port" -q 1 -t "job/$v" -m "$i"; done
  for _ in $(seq 10); do "$SUB" -p "$port" -V "$v" "$@" -i "taker-$v" -c -q 1 -t "job/$v" -C 1 -W 5; done | tr '\n' ' '
}
old=$(take mqttv311) new=$(take mqttv5 -x 3600)
echo "3.1.1: $old"; echo "5: $new"
[ "$new" = '1 2 3 4 5 6 7 8 9 10 ' ] && [ "$(printf '%s\n' $old | sort -u | wc -l)" -lt 10 ]
