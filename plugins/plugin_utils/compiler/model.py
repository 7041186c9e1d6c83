# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration as typed objects: what a user may write, with every default.

These classes are the only place where a key, its default and its meaning are stated; the strict reader and
the generated documentation both come from here. Objects keep the path they were read from, so that a later
check can name the place. `None` stands for "not declared: allocate and record it".
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from . import kinds
from .addresses import Prefix
from .kinds import Ports, list_of
from .problems import Path
from .schema import mapping_of, option

# The first port that WireGuard's own documentation and the origin text use.
LISTEN_PORT_BASE = 51820
# Above every number that distributions and wg-quick use, and far from the kernel's 253 to 255.
ROUTING_TABLE_BASE = 10000
# Behind the local table (0) and before main (32766); the tree of rules takes what follows.
RULE_PRIORITY_BASE = 2000
# A released address is not given to another peer before clients and logs have forgotten its old owner.
QUARANTINE_DAYS = 30
# A quarter of the 262,144 connections that Linux keeps track of by default (nf_conntrack_max, nf_conntrack-sysctl.rst).
CONNECTIONS_LIMIT = 65536
# The interval WireGuard's manual recommends against NAT, in seconds.
KEEPALIVE = 25
# The MTU that fits a tunnel in an IPv6 path of 1500 bytes: 40 + 8 + 32 bytes of overhead.
DEFAULT_MTU = 1420


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One WireGuard client of a segment: managed (host), external (public_key) or generated (key)."""

    path: Path
    name: str = option(kinds.name, "name", "The peer's name, unique in its segment.")
    public_key: str | None = option(kinds.public_key, "public key", "External peer: its public key.", None)
    host: str | None = option(kinds.host, "inventory host", "Managed peer: the inventory host that it is.", None)
    key: str | None = option(
        kinds.choice("generated"),
        "generated",
        "Generated peer: its key pair is made when it is handed over; until then it is not let in.",
        None,
    )
    address: Prefix | None = option(
        kinds.address(4), "IPv4 address", "The peer's address; allocated and recorded when absent.", None
    )
    address_v6: Prefix | None = option(
        kinds.address(6), "IPv6 address", "The peer's IPv6 address; allocated and recorded when absent.", None
    )
    tags: tuple[str, ...] = option(list_of(kinds.name), "list of names", "Tags that policies can select.", ())
    networks: tuple[Prefix, ...] = option(
        list_of(kinds.prefix(None)), "list of networks", "Networks behind the peer (site to site).", ()
    )
    expires: datetime.date | None = option(kinds.date, "date", "The peer is cut off at 00:00 UTC of this day.", None)
    preshared_key: bool = option(
        kinds.boolean,
        "boolean",
        "Whether the tunnel is to have a preshared key too. Read and checked; not applied yet.",
        True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One isolated subnet of a tenant: its own interface, key, port, routing table and firewall chain."""

    path: Path
    name: str = option(kinds.name, "name", "The segment's name, unique in its tenant.")
    subnet: Prefix | None = option(
        kinds.prefix(4), "IPv4 network", "The segment's subnet; allocated and recorded when absent.", None
    )
    subnet_v6: Prefix | None = option(
        kinds.prefix(6), "IPv6 network", "The segment's IPv6 subnet; allocated and recorded when absent.", None
    )
    listen_port: int | None = option(
        kinds.integer(1, 65535), "port", "The UDP port of its interface; allocated and recorded when absent.", None
    )
    interface: str | None = option(
        kinds.interface,
        "interface name",
        "Its interface on the hub, at most 15 characters; recorded when absent.",
        None,
    )
    table: int | None = option(
        kinds.integer(256, 2**31 - 1), "table number", "Its routing table; allocated and recorded when absent.", None
    )
    peers: tuple[Peer, ...] = option(list_of(mapping_of(Peer)), "list of peers", "The segment's peers.", ())
    peer_isolation: bool = option(
        kinds.boolean, "boolean", "When true, peers of this segment reach each other only by policy.", False
    )
    internet: str = option(
        kinds.internet, "false or nat", "With nat, every peer of the segment may open connections to the internet.", ""
    )
    mtu: int | None = option(kinds.mtu, "bytes", f"MTU of its interface at both ends; {DEFAULT_MTU} when absent.", None)
    dns: tuple[Prefix, ...] = option(
        list_of(kinds.resolver), "list of addresses", "Name servers for its peers' configuration.", ()
    )
    renamed_from: str | None = option(
        kinds.name, "name", "The segment's former name: a rename keeps every number.", None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """The hub's own segment, for those who run the fabric."""

    path: Path
    subnet: Prefix | None = option(
        kinds.prefix(4), "IPv4 network", "The management subnet; the first of the supernet when absent.", None
    )
    subnet_v6: Prefix | None = option(
        kinds.prefix(6), "IPv6 network", "The management IPv6 subnet; allocated and recorded when absent.", None
    )
    listen_port: int | None = option(
        kinds.integer(1, 65535), "port", "Its UDP port; wireguard_listen_port_base when absent.", None
    )
    interface: str | None = option(
        kinds.interface, "interface name", "Its interface on the hub; wg0 when absent.", None
    )
    table: int | None = option(
        kinds.integer(256, 2**31 - 1), "table number", "Its routing table; allocated and recorded when absent.", None
    )
    peers: tuple[Peer, ...] = option(list_of(mapping_of(Peer)), "list of peers", "The administrators' peers.", ())
    peer_isolation: bool = option(
        kinds.boolean, "boolean", "When true, administrators reach each other only by policy.", False
    )
    mtu: int | None = option(kinds.mtu, "bytes", "MTU of its interface at both ends.", None)
    dns: tuple[Prefix, ...] = option(
        list_of(kinds.resolver), "list of addresses", "Name servers for its peers' configuration.", ()
    )
    hub: str | None = option(kinds.host, "inventory host", "The hub that carries it, where there are several.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer; owns segments."""

    path: Path
    name: str = option(kinds.name, "name", "The tenant's name, unique in the fabric.")
    segments: tuple[Segment, ...] = option(list_of(mapping_of(Segment)), "list of segments", "The tenant's segments.")
    hub: str | None = option(kinds.host, "inventory host", "The hub of its segments, where there are several.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A named address and ports of a peer."""

    path: Path
    name: str = option(kinds.name, "name", "The service's name, unique in the fabric.")
    at: str = option(kinds.text, "tenant/segment/peer", "The peer that offers it.")
    ports: tuple[Ports, ...] = option(list_of(kinds.ports), "list of ports", "Its ports.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An allow: who may open connections to what."""

    path: Path
    name: str = option(kinds.name, "name", "The policy's name, unique in the fabric.")
    from_: tuple[str, ...] = option(list_of(kinds.text), "list of selectors", "Who may open connections.")
    to: tuple[str, ...] = option(list_of(kinds.text), "list of selectors", "To what.")
    ports: tuple[Ports, ...] | None = option(
        list_of(kinds.ports), "list of ports", "To which ports; not with a service, which brings its own.", None
    )
    cross_tenant: bool = option(kinds.boolean, "boolean", "Whether its tags match across tenants.", False)
    log: bool = option(kinds.boolean, "boolean", "Whether its connections are logged.", False)
    expires: datetime.date | None = option(kinds.date, "date", "It ends at 00:00 UTC of this day.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """What must be allowed and what must not; checked before any host is touched."""

    path: Path
    from_: str = option(kinds.text, "selector", "Who opens the connection.")
    accept: tuple[str, ...] = option(
        list_of(kinds.text),
        "list of targets",
        "All of it must be allowed: a selector, a space and ports if wanted.",
        (),
    )
    deny: tuple[str, ...] = option(list_of(kinds.text), "list of targets", "Nothing of it may be allowed.", ())
    name: str | None = option(kinds.text, "text", "What the test is about.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """A key that must never be let in again."""

    path: Path
    public_key: str = option(kinds.public_key, "public key", "The revoked public key.")
    reason: str = option(kinds.text, "text", "Why it was revoked.", "")


@dataclass(frozen=True, slots=True)
class Hub:
    """What is declared per hub, in its own variables."""

    path: Path
    name: str
    endpoint: str
    uplinks: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The whole declaration. Each option here is the variable ``wireguard_<option>``."""

    path: Path = ()
    fabric: str = option(kinds.name, "name", "The fabric's name.")
    supernet: Prefix = option(kinds.prefix(4), "IPv4 network", "The network that holds every segment.")
    supernet_v6: Prefix | None = option(
        kinds.prefix(6), "IPv6 network", "The same for IPv6; declared, the whole fabric is dual stack.", None
    )
    segment_prefix: int = option(kinds.integer(8, 30), "bits", "The length of subnets that are allocated.", 24)
    segment_prefix_v6: int = option(
        kinds.integer(16, 126), "bits", "The length of IPv6 subnets that are allocated.", 64
    )
    listen_port_base: int = option(
        kinds.integer(1024, 65000),
        "port",
        "Management listens here; segments are allocated above it.",
        LISTEN_PORT_BASE,
    )
    routing_table_base: int = option(
        kinds.integer(256, 2**30), "table number", "The hub's own table; those of segments follow.", ROUTING_TABLE_BASE
    )
    rule_priority_base: int = option(
        kinds.integer(100, 9000),
        "priority",
        "The first of the 22,000 routing-rule priorities that are used.",
        RULE_PRIORITY_BASE,
    )
    management: Management | None = option(
        mapping_of(Management), "mapping", "The hub's own segment; an empty one when absent.", None
    )
    tenants: tuple[Tenant, ...] = option(list_of(mapping_of(Tenant)), "list of tenants", "The tenants.", ())
    services: tuple[Service, ...] = option(list_of(mapping_of(Service)), "list of services", "Named services.", ())
    policies: tuple[Policy, ...] = option(list_of(mapping_of(Policy)), "list of policies", "What is allowed.", ())
    policy_tests: tuple[PolicyTest, ...] = option(
        list_of(mapping_of(PolicyTest)), "list of tests", "What the policies must and must not allow.", ()
    )
    revoked: tuple[Revoked, ...] = option(
        list_of(mapping_of(Revoked)), "list of keys", "Keys that are kept out for ever.", ()
    )
    keepalive: int = option(
        kinds.integer(0, 65535), "seconds", "How often peers keep their tunnel open; 0 turns it off.", KEEPALIVE
    )
    connections_limit: int = option(
        kinds.integer(1, 2**31 - 1),
        "connections",
        "How many connections the peers of one segment may have open through the hub.",
        CONNECTIONS_LIMIT,
    )
    quarantine_days: int = option(
        kinds.integer(0, 3650), "days", "How long a released address is not given to somebody else.", QUARANTINE_DAYS
    )
    verify_internet: tuple[Prefix, ...] = option(
        list_of(kinds.resolver), "list of addresses", "Hosts on the internet that verify may probe.", ()
    )
    hubs: tuple[Hub, ...] = field(default=())
