#!/bin/sh
# OpenWrt: stop; what was stored stays where /etc/config/frond says.
if [ -z "${IPKG_INSTROOT}" ]; then
	/etc/init.d/frond stop
	/etc/init.d/frond disable
fi
exit 0
