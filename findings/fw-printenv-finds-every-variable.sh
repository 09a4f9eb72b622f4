#!/usr/bin/env bash
# libubootenv-tool 0.3.2 (Debian 12's fw_printenv): a variable that the environment of
# U-Boot does not have is printed as "name=" with exit code 0, with -n as nothing and 0,
# the same as one that is there and empty. A script of an update that asks "fw_printenv
# upgrade_available" by the exit code takes every boot for the first one after an update.
# Needs apt (Debian 12).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq libubootenv-tool=0.3.2-1 libubootenv0.1=0.3.2-1 2>/dev/null
for deb in *.deb; do dpkg-deb -x "$deb" root; done
export LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu*)
truncate -s 64K flash
echo "$dir/flash 0x0 0x4000" >fw.config
echo 'bootlimit=3' >defaults
root/usr/bin/fw_setenv -c fw.config -f defaults bootcount 0 2>/dev/null
ask() { local code=0; text=$(root/usr/bin/fw_printenv -c fw.config "$@") || code=$?; echo "fw_printenv $*: \"$text\", exit code $code"; }
{ ask bootlimit; ask upgrade_available; ask -n upgrade_available; } | tee said
cat >want <<'WANT'
fw_printenv bootlimit: "bootlimit=3", exit code 0
fw_printenv upgrade_available: "upgrade_available=", exit code 0
fw_printenv -n upgrade_available: "", exit code 0
WANT
cmp said want
