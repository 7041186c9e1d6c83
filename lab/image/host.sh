#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# At each boot: the default routes, and what this host is there for. The lab says which by the container's
# environment.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# At the first boot: the image's builder left its own here. 127.0.1.1 is Debian's own way to let a host know its name.
if ! grep -q '^127\.0\.1\.1' /etc/hosts; then
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n' "$(hostname)" >/etc/hosts
    rm -f /etc/resolv.conf
    echo '# the lab has no name server' >/etc/resolv.conf
fi

if [ -n "${LAB_GATEWAY:-}" ]; then
    ip -4 route replace default via "$LAB_GATEWAY" dev eth0
    ip -6 route replace default via "$LAB_V6_ROUTER" dev eth0
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
