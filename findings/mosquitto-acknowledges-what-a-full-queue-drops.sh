#!/usr/bin/env bash
# mosquitto 2.0.11: for a subscriber that is away, with a kept session, messages
# wait in a queue of max_queued_messages (default 1,000). When it is full the
# newest are dropped. The publisher, at QoS 1, is acknowledged for each of them,
# under MQTT 5 too with reason 0x00, and neither the publisher nor the subscriber
# is ever told: only a counter in $SYS moves.
# Needs apt (Debian 12) and python3.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
. "$(dirname "$0")/mosquitto.lib"
start 'max_queued_messages 5'
"$SUB" -p "$port" -i away -c -q 1 -t t -E
acked=0
for i in $(seq 10); do "$PUB" -p "$port" -V mqttv5 -q 1 -t t -m "$i" 2>>"$dir/said" && acked=$((acked + 1)); done
"$SUB" -p "$port" -i away -c -q 1 -t t -W 2 >"$dir/got" 2>/dev/null || true
echo "queue of 5: $acked of 10 acknowledged, delivered: $(tr '\n' ' ' <"$dir/got"), said: \"$(cat "$dir/said")\""
[ $acked = 10 ] && [ "$(tr '\n' ' ' <"$dir/got")" = '1 2 3 4 5 ' ] && [ ! -s "$dir/said" ]
