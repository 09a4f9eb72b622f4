#!/bin/sh
# Behind the files. What was acknowledged is nobody's to delete but yours.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
case "${1:-0}" in
purge | 0)
	if [ -d /var/lib/frond ]; then
		echo "frond: /var/lib/frond holds stored messages and was kept; remove it yourself when nobody needs them." >&2
	fi
	;;
esac
