#!/bin/sh
# OpenWrt: the user, and the service at boot. In an image that is being built
# ($IPKG_INSTROOT) nothing runs.
. "${IPKG_INSTROOT}/lib/functions.sh"
group_exists frond || group_add_next frond
user_exists frond || user_add frond "" "$(group_add_next frond)" frond /srv/frond /bin/false
if [ -z "${IPKG_INSTROOT}" ]; then
	/etc/init.d/frond enable
	/etc/init.d/frond start || echo "frond: not started, see: /etc/init.d/frond check" >&2
fi
exit 0
