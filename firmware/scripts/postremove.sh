#!/bin/sh
# Behind the files. What was acknowledged is nobody's to delete but yours.
# deb: "remove", "purge" or "upgrade"; rpm: 0 the last, 1 an upgrade; apk: the
# version, and only when the package goes.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
case "${1:-0}" in
purge | 0 | [0-9]*.*)
	if [ -d /var/lib/frond ]; then
		echo "frond: /var/lib/frond holds stored messages and was kept, as was the user frond that it belongs to." >&2
		echo "frond: when nobody needs them: rm -r /var/lib/frond; userdel frond" >&2
	fi
	;;
esac
