# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who on the lab's own network, and strangers on the hub that nothing of ours may touch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labnet import HUB, Lab, Peer

SUPERNETS = ["10.100.0.0/16", "fd64:e5a:100::/48"]
IDS = {
    "web1": "tenant-a/production/web1",
    "web2": "tenant-a/production/web2",
    "dev1": "tenant-a/development/dev1",
    "app1": "tenant-b/production/app1",
    "db1": "shared/services/db1",
    "ops1": "management/ops1",
}
# Things of somebody else on the hub: a WireGuard interface, a firewall, routing, a unit that makes them at boot.
STRANGERS = r"""
set -e
umask 077
mkdir -p /etc/wireguard /etc/foreign
[ -s /etc/foreign/key ] || wg genkey > /etc/foreign/key
cat > /etc/wireguard/wg-foreign.conf <<END
[Interface]
PrivateKey = $(cat /etc/foreign/key)
ListenPort = 51999
Address = 198.51.100.1/32
Table = off
[Peer]
PublicKey = plNd1vmfFNwPEh3fE9KusT78qlt2OyIUP9WIaO5Etdw=
AllowedIPs = 198.51.100.2/32
