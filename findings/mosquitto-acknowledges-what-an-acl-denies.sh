#!/usr/bin/env bash
# mosquitto 2.0.11: a QoS 1 publication that the ACL denies is thrown away. Under
# MQTT 3.1.1 the client gets an ordinary PUBACK and mosquitto_pub ends with 0
# without a word. Under MQTT 5 the PUBACK has reason 0x87, mosquitto_pub prints a
# warning, and its exit code is 0 all the same: a script that checks it believes
# that the reading was taken.
# Needs apt (Debian 12) and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/mosquitto.lib"
echo 'topic readwrite up' >"$dir/acl"; echo 'topic read denied' >>"$dir/acl"
start "acl_file $dir/acl"
ok=1
for v in mqttv311 mqttv5; do
  "$SUB" -p "$port" -V $v -t denied -W 2 >"$dir/got" 2>/dev/null & sub=$!
  sleep 0.5
  code=0; "$PUB" -p "$port" -V $v -q 1 -t denied -m reading 2>"$dir/said" || code=$?
  wait $sub || true
  echo "$v: exit code $code, said \"$(tr -d '\n' <"$dir/said")\", $(wc -l <"$dir/got") delivered"
  [ $code = 0 ] && [ ! -s "$dir/got" ] || ok=0
  case $v in mqttv311) [ ! -s "$dir/said" ] || ok=0 ;; mqttv5) [ -s "$dir/said" ] || ok=0 ;; esac
done
[ $ok = 1 ]
