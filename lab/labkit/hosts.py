# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts and networks: the one table that everything else follows.

`inventories/lab/hosts.yml` repeats the addresses, so that it can be copied and used by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = "tenantnet-lab"
SUBNET = "172.30.99.0/24"
SUBNET_V6 = "fd7e:a57:99::/64"
# The machine's own place on the bridge, to reach the hosts from.
MACHINE_ADDRESSES = ("172.30.99.1/24", "fd7e:a57:99::1/64")

# The internet side's addresses, from the blocks set aside for documentation.
INTERNET_ADDRESSES = ("203.0.113.10/32", "2001:db8:99::10/128")

# What the lab's fabrics and its internet side use. Where one of their tunnels is down, a probe must end here and not
# at somebody else's host: the machine gets an unreachable route for each. Of the documentation blocks only the very
# addresses: a machine may really live in one of them, its package mirror included.
NEVER_OUTSIDE = ("10.100.0.0/16", "fd64:e5a:100::/48", *INTERNET_ADDRESSES)


@dataclass(frozen=True)
class Host:
    """One host of the lab."""

    name: str
    number: int
    # What it is there for: handed to /opt/lab/host.sh inside the container by its environment.
    environment: tuple[tuple[str, str], ...] = ()
    # Whether `lab up` without names starts it.
    default: bool = True
    # Its own Debian release; empty: that of all others.
    release: str = ""

    @property
    def address(self) -> str:
        """Its address on the lab's bridge."""
        return f"172.30.99.{self.number}"

    @property
    def address_v6(self) -> str:
        """Its IPv6 address, with the same last number to read."""
        return f"fd7e:a57:99::{self.number}"

    @property
    def mac(self) -> str:
        """Its hardware address, which a restart keeps: the others remember it for a minute."""
        return f"02:7e:a5:79:90:{self.number:02x}"

    @property
    def container(self) -> str:
        """The name of its container."""
        return f"tenantnet-{self.name}"


INTERNET = Host("internet1", 2, environment=(("LAB_ADDRESSES", " ".join(INTERNET_ADDRESSES)),))
# Everybody's way out leads to the internet side, which answers and forwards nothing.
_ROUTED = (("LAB_GATEWAY", INTERNET.address), ("LAB_V6_ROUTER", INTERNET.address_v6))

HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        INTERNET,
        Host("hub1", 11, _ROUTED),
        Host("hub2", 12, _ROUTED, default=False),
        Host("web1", 21, _ROUTED),
        Host("web2", 22, _ROUTED),
        Host("dev1", 23, _ROUTED),
        Host("app1", 24, _ROUTED),
        Host("db1", 25, (*_ROUTED, ("LAB_DATABASE", "1"))),
        Host("ops1", 26, _ROUTED),
        # A host that Ansible doesn't manage: it is given a client configuration, as a customer would be.
        Host("spare1", 27, _ROUTED, default=False),
        # The releases that the collection supports beside the lab's own: a hub and a peer of each.
        Host("hub-11", 31, _ROUTED, default=False, release="bullseye"),
        Host("peer-11", 32, _ROUTED, default=False, release="bullseye"),
        Host("peer-12", 35, _ROUTED, default=False),
        Host("hub-13", 33, _ROUTED, default=False, release="trixie"),
        Host("peer-13", 34, _ROUTED, default=False, release="trixie"),
    )
}
DEFAULT_HOSTS = [host for host in HOSTS.values() if host.default]
