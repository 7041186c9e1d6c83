#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# At each boot: the default routes, and what this host is there for. The lab says which by the container's
# environment.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

if [ -n "${LAB_GATEWAY:-}" ]; then
    ip -4 route replace default via "$LAB_GATEWAY" dev eth0
    ip -6 route replace default via "$LAB_GATEWAY6" dev eth0
fi
if [ -n "${LAB_ADDRESSES:-}" ]; then
    # The internet side: its addresses answer, and it forwards nothing.
    for address in $LAB_ADDRESSES; do
        ip address replace "$address" dev lo
    done
    systemctl --no-block start lab-internet.service
fi
if [ -n "${LAB_DATABASE:-}" ]; then
    systemctl --no-block start mariadb.service
fi
