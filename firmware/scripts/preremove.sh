#!/bin/sh
# Before the files go. deb: "remove" or "upgrade"; rpm: 0 the last, 1 an
# upgrade. An upgrade does not stop anything: see postinstall.
set -e
case "${1:-0}" in
upgrade | failed-upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now frond.service || true
elif [ -x /sbin/openrc-run ] && [ -x /etc/init.d/frond ]; then
	rc-service frond stop || true
	rc-update del frond default 2>/dev/null || true
fi
