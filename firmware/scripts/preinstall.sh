#!/bin/sh
# Before the files come: the user that frond runs as. Works with the tools of
# Debian, Fedora, Alpine and OpenWrt.
set -e
getent group frond >/dev/null 2>&1 || grep -q '^frond:' /etc/group || {
	if command -v groupadd >/dev/null; then groupadd --system frond
	else addgroup -S frond; fi
}
getent passwd frond >/dev/null 2>&1 || grep -q '^frond:' /etc/passwd || {
	if command -v useradd >/dev/null; then
		useradd --system --gid frond --home-dir /var/lib/frond --no-create-home --shell /usr/sbin/nologin frond
	else adduser -S -D -H -h /var/lib/frond -s /sbin/nologin -G frond frond; fi
}
