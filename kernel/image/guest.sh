#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# At each boot, before the network counts as up: the guest's addresses, as its kernel's command line says.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
read -r words </proc/cmdline
for word in $words; do
    case $word in
    guest.address=*) address=${word#*=} ;;
    guest.address6=*) address6=${word#*=} ;;
    guest.gateway=*) gateway=${word#*=} ;;
    guest.gateway6=*) gateway6=${word#*=} ;;
    esac
done
[ -s /etc/hosts ] || printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost\n' "$(hostname)" >/etc/hosts
ip link set vec0 up
ip address replace "$address" dev vec0
ip address replace "$address6" dev vec0 nodad
ip -4 route replace default via "$gateway" dev vec0
ip -6 route replace default via "$gateway6" dev vec0
