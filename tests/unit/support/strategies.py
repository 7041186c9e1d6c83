# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of every kind for hypothesis: right ones, ones with something wrong in one place, and garbage."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from typing import Any

from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import BASE, SUPERNET_V6, key
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

_TENANTS = ("a", "acme", "b2b", "shared", "t_1")
_SEGMENTS = ("dev", "p", "prod", "services-and-databases")
_PEERS = ("db1", "laptop", "p1", "web-1")
_TAGS = ("web", "db")
_PORTS = ("tcp/22", "tcp/20-30", "tcp/25-443", "tcp/443", "udp/53", "udp/1-65535", "icmp", "all")
_SERVICES = ("mysql", "web")
# Two that overlap among them. All private: what becomes of a site's public addresses has a test of its own.
_NETWORKS = ("192.168.7.0/24", "192.168.0.0/21", "172.20.0.0/16", "10.1.0.0/16", "fd99:7::/48", "fd99::/32")


@st.composite
def declarations(draw: Draw, *, dual: bool | None = None, networks: bool = True) -> dict[str, Any]:
    """Draw the variables of a small fabric in which nothing is wrong, but for policies that may join nothing."""
    both = draw(st.booleans()) if dual is None else dual
    variables: dict[str, Any] = dict(BASE)
    if both:
        variables["wireguard_supernet_v6"] = SUPERNET_V6
    blocks = draw(st.lists(st.integers(1, 255), min_size=6, max_size=6, unique=True))
    sites = list(draw(st.permutations(_NETWORKS))) if networks else []
    hosts = ["web1", "web2", "db1"]
    peer_ids: list[str] = []
    segment_ids: list[str] = []
    tenants = []
    for tenant in draw(st.lists(st.sampled_from(_TENANTS), max_size=3, unique=True)):
        segments = []
        for segment in draw(st.lists(st.sampled_from(_SEGMENTS), max_size=3, unique=True)):
            item: dict[str, Any] = {"name": segment}
            if draw(st.booleans()) and blocks:
                item["subnet"] = f"10.100.{blocks.pop()}.0/24"
            if draw(st.booleans()):
                item["peer_isolation"] = draw(st.booleans())
            if draw(st.integers(0, 3)) == 0:
                item["internet"] = "nat"
            peers = []
            for name in draw(st.lists(st.sampled_from(_PEERS), max_size=3, unique=True)):
                peers.append(_peer(draw, name, f"{tenant}/{segment}", hosts, sites, both))
                peer_ids.append(f"{tenant}/{segment}/{name}")
            if peers or draw(st.booleans()):
                item["peers"] = peers
            if peers and "subnet" in item and draw(st.integers(0, 3)) == 0:
                peers[0]["address"] = item["subnet"].replace(".0/24", f".{draw(st.integers(2, 254))}")
            segments.append(item)
            segment_ids.append(f"{tenant}/{segment}")
        tenants.append({"name": tenant, "segments": segments})
    variables["wireguard_tenants"] = tenants
    if draw(st.booleans()):
        variables["wireguard_management"] = {"peers": [_peer(draw, "admin", "management", hosts, [], both)]}
    services = []
    for name in draw(st.lists(st.sampled_from(_SERVICES), max_size=2, unique=True)) if peer_ids else ():
        ports = draw(st.lists(st.sampled_from(_PORTS), min_size=1, max_size=2, unique=True))
        services.append({"name": name, "at": draw(st.sampled_from(peer_ids)), "ports": ports})
    variables["wireguard_services"] = services
    owners = sorted({each.split("/")[0] for each in segment_ids})
    tags = sorted(
        {f"tag:{tag}" for t in tenants for s in t["segments"] for p in s.get("peers", ()) for tag in p["tags"]}
    )
    sources = [*owners, *segment_ids, *peer_ids, *tags, "management"]
    targets = [*sources, "hub", "internet"]
    variables["wireguard_policies"] = [
        _policy(draw, f"policy-{number}", sources, targets, [f"service:{each['name']}" for each in services])
        for number in range(draw(st.integers(0, 4)))
    ]
    return variables


def _peer(draw: Draw, name: str, where: str, hosts: list[str], sites: list[str], dual: bool) -> dict[str, Any]:
    """Draw one peer; a host, a key and a site are each given once."""
    item: dict[str, Any] = {"name": name, "tags": draw(st.lists(st.sampled_from(_TAGS), max_size=2, unique=True))}
    kind = draw(st.sampled_from(("host", "public_key", "key")))
    if kind == "host" and hosts:
        item["host"] = hosts.pop()
    elif kind == "public_key":
        item["public_key"] = key(f"{where}/{name}".replace("-", "+").replace("_", "+"))
    else:
        item["key"] = "generated"
    if sites and draw(st.integers(0, 4)) == 0:
        site = sites.pop()
        if dual or ":" not in site:
            item["networks"] = [site]
    if draw(st.integers(0, 5)) == 0:
        item["expires"] = draw(st.sampled_from((datetime.date(2026, 5, 31), "2026-06-01", "2026-06-02")))
    return item


def _policy(draw: Draw, name: str, sources: list[str], targets: list[str], services: list[str]) -> dict[str, Any]:
    """Draw one policy, of services or of parties with ports."""
    found: dict[str, Any] = {"name": name, "from": draw(_some(sources)), "cross_tenant": draw(st.booleans())}
    if services and draw(st.booleans()):
        return {**found, "to": draw(_some(services))}
    ports = draw(st.lists(st.sampled_from(_PORTS), min_size=1, max_size=3, unique=True))
    return {**found, "to": draw(_some(targets)), "ports": ports, "log": draw(st.booleans())}


def _some(words: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=2, unique=True)


# What stands near to something right, and everything that YAML can hold beside it.
_NEAR = st.sampled_from(
    (
        "10.100.1.0/24", "10.100.1.1", "10.100.0.0/15", "0.0.0.0/0", "::/0", "fd64:e5a:100:1::/64", "hub", "all", "no",
        "tag:web", "service:mysql", "a", "a/prod", "a/prod/p1", "tcp/22", "tcp/", "tcp/0", "tcp/9-1",
        "generated", "nat",
        "51820", "051820", "-1", "1e3", "true", "", " ", "\n", "Ä", "x" * 33, "wg0", "lo", key("k"), "A" * 43 + "=",
        "2026-02-30", "2026-06-01", 0, 1, -1, 24, 51820, 65536, 2**31, 2**64, 10**40,
    )
)  # fmt: skip
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    _NEAR,
)
_KEYS = st.one_of(
    st.sampled_from(("name", "segments", "peers", "subnet", "from", "to", "ports", "public_key", "address", "path")),
    st.text(max_size=8),
    st.none(),
    st.booleans(),
    st.integers(0, 3),
)
garbage = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the path of everything inside nested lists and mappings."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = []
    for part, item in items:
        found += [(*path, part), *places(item, (*path, part))]
    return found


def put(data: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value where a path leads."""
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def take(data: Any, path: tuple[Any, ...]) -> Any:
    """Take out what a path leads to."""
    for part in path[:-1]:
        data = data[part]
    return data.pop(path[-1])


@st.composite
def damaged(draw: Draw, whole: st.SearchStrategy[Any]) -> Any:
    """Draw something whole and damage it in one to three places: replaced, removed, doubled or with a key more."""
    data = copy.deepcopy(draw(whole))
    for _time in range(draw(st.integers(1, 3))):
        found = places(data)
        if not found:
            break
        path = draw(st.sampled_from(found))
        how = draw(st.sampled_from(("replace", "replace", "remove", "double", "more")))
        holder = data
        for part in path[:-1]:
            holder = holder[part]
        if how == "replace":
            put(data, path, draw(garbage))
        elif how == "remove":
            take(data, path)
        elif how == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        elif isinstance(holder, dict):
            holder[draw(_KEYS) if len(path) > 1 else f"wireguard_{draw(st.sampled_from(_SERVICES))}"] = draw(garbage)
    return data
