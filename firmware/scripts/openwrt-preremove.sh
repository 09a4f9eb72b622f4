#!/bin/sh
# OpenWrt: stop; what was stored stays where /etc/config/frond says. An upgrade
# (opkg says "upgrade" and the version) does not stop anything: see postinstall.
[ "${1:-}" = upgrade ] && exit 0
if [ -z "${IPKG_INSTROOT}" ]; then
	/etc/init.d/frond stop
	/etc/init.d/frond disable
fi
exit 0
