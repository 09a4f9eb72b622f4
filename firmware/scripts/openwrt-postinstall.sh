#!/bin/sh
# OpenWrt: the user, and the service at boot. In an image that is being built
# ($IPKG_INSTROOT) nothing runs.
. "${IPKG_INSTROOT}/lib/functions.sh"
group_exists frond || group_add_next frond
user_exists frond || user_add frond "" "$(group_add_next frond)" frond /srv/frond /bin/false
[ -z "${IPKG_INSTROOT}" ] || exit 0

# Settings that the new program does not take, or a data folder of a newer one:
# what runs goes on running, and opkg says that this script failed.
if ! /etc/init.d/frond check; then
	echo "frond: this version does not start with /etc/config/frond: see above. The service was not (re)started." >&2
	echo "frond: correct that, then: /etc/init.d/frond restart" >&2
	exit 1
fi
if [ "${PKG_UPGRADE:-0}" != 1 ]; then
	/etc/init.d/frond enable
	/etc/init.d/frond start
elif /etc/init.d/frond enabled; then # else its owner has switched it off
	/etc/init.d/frond restart
fi
