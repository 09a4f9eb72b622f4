#!/usr/bin/env bash
# nats-server 2.15.3 as hub with `leafnodes { no_advertise: true }`: its first line
# then has no leafnode_urls, and a nats-server 2.14.10 or 2.12.15 takes the port
# for that of clients ("attempted to connect to wrong port") and never links. 2.15.3
# links. A hub of 2.14.10 with the same option is linked to by 2.12.15: an update of
# the hub alone cuts off the older edges. Without the option all of them link.
# Needs go.
set -euo pipefail
dir=$(mktemp -d); pids=(); trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT; cd "$dir"
for v in 2.15.3 2.14.10 2.12.15; do
  GOBIN="$dir/$v" go install "github.com/nats-io/nats-server/v2@v$v" >/dev/null 2>&1
done

# awaits FILE PATTERN: the first line of FILE with PATTERN, within ten seconds.
awaits() {
  for _ in $(seq 100); do grep -m1 -E "$2" "$1" 2>/dev/null && return; sleep 0.1; done
  return 1
}

# pair HUB EDGE OPTION
n=0
pair() {
  n=$((n + 1))
  printf 'listen: "127.0.0.1:-1"\nserver_name: hub\nleafnodes { listen: "127.0.0.1:-1"; %s }\n' "$3" > hub$n.conf
  "./$1/nats-server" -c hub$n.conf -l hub$n.log & pids+=($!)
  local port
  port=$(awaits hub$n.log 'Listening for leafnode' | grep -oE '[0-9]+$')
  printf 'listen: "127.0.0.1:-1"\nserver_name: edge\nleafnodes { remotes [ { url: "nats-leaf://127.0.0.1:%s" } ] }\n' "$port" > edge$n.conf
  "./$2/nats-server" -c edge$n.conf -l edge$n.log & pids+=($!)
  local said
  said=$(awaits edge$n.log 'JetStream using|Leafnode connection created for|leafnode.*(wrong|Error|attempted)|Adding leafnode' || true)
  if grep -q 'Leafnode connection created' hub$n.log && sleep 3 && [ "$(grep -c 'Leafnode connection closed' hub$n.log)" = 0 ]; then
    echo "hub $1, edge $2, ${3:-no option}: linked" | tee -a seen
  else
    echo "hub $1, edge $2, ${3:-no option}: not linked" | tee -a seen
    grep -m1 -oE '\[ERR\].*' edge$n.log | sed -E 's/[0-9]+ - lid:[0-9]+/PORT/; s/127[^ ]*//' || true
  fi
}
pair 2.15.3 2.15.3 ''
pair 2.15.3 2.14.10 ''
pair 2.15.3 2.12.15 ''
pair 2.15.3 2.15.3 'no_advertise: true'
pair 2.15.3 2.14.10 'no_advertise: true'
pair 2.15.3 2.12.15 'no_advertise: true'
pair 2.14.10 2.12.15 'no_advertise: true'
diff - seen <<'SEEN'
hub 2.15.3, edge 2.15.3, no option: linked
hub 2.15.3, edge 2.14.10, no option: linked
hub 2.15.3, edge 2.12.15, no option: linked
hub 2.15.3, edge 2.15.3, no_advertise: true: linked
hub 2.15.3, edge 2.14.10, no_advertise: true: not linked
hub 2.15.3, edge 2.12.15, no_advertise: true: not linked
hub 2.14.10, edge 2.12.15, no_advertise: true: linked
SEEN
