#!/bin/sh
# Behind the files: data folder, and the service. deb: "configure" and the
# version before, if any. rpm: 1 install, 2 upgrade.
set -e
mkdir -p /var/lib/frond /etc/frond
chown frond:frond /var/lib/frond
chmod 0750 /var/lib/frond
chown root:frond /etc/frond
chmod 0750 /etc/frond
if [ -e /etc/frond/frond.conf ]; then
	chown root:frond /etc/frond/frond.conf
	chmod 0640 /etc/frond/frond.conf
fi

# A configuration that the new program does not take, or a data folder of a
# newer one: what runs goes on running, and whoever installs sees why.
if ! /usr/bin/frond -t -c /etc/frond/frond.conf; then
	echo "frond: this version does not start with /etc/frond/frond.conf: see above. The service was not (re)started." >&2
	echo "frond: correct that, then: systemctl restart frond" >&2
	exit 1
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ "${1:-}" = 2 ] || { [ "${1:-}" = configure ] && [ -n "${2:-}" ]; }; then
		# The old program is gone from the disk: one that does not come up again
		# (its data is of a newer version, say) must not look like a good upgrade.
		systemctl try-restart frond.service || {
			echo "frond: the new version did not start; nothing stored was touched. Why: journalctl -u frond" >&2
			exit 1
		}
	else
		systemctl enable --now frond.service
	fi
elif [ -x /sbin/openrc-run ] && [ -x /etc/init.d/frond ]; then
	if rc-service frond status >/dev/null 2>&1; then rc-service frond restart; fi
fi
