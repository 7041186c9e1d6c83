# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks across keys that need no allocation: one kind of peer, unique names and keys, networks apart.

What needs the allocated numbers (a declared address that is recorded for somebody else) is checked where
they are allocated; what needs resolved selectors is checked where they are resolved.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from typing import Any

from .addresses import Prefix, overlapping
from .curve import has_private_form, is_public
from .model import Fabric, Management, Peer, Policy, Segment, Tenant
from .numbers import address_fault, host_bounds
from .problems import NO_VALUE, Path, Problems

# Networks that can never lie behind a peer: unspecified, loopback, link-local, multicast.
_NEVER_BEHIND = (
    Prefix(4, 0, 8),
    Prefix(4, 127 << 24, 8),
    Prefix(4, 169 << 24 | 254 << 16, 16),
    Prefix(4, 224 << 24, 3),
    Prefix(6, 0, 64),
    Prefix(6, 0xFE80 << 112, 10),
    Prefix(6, 0xFF00 << 112, 8),
)
# Keys that are looked at to tell a declaration of real keys from a draft with made-up ones.
_KEYS_SAMPLED = 8
# Keys of a private one's form that are examined thoroughly: as many as a thousand peers have (see curve.py).
_SUSPECTS_LIMIT = 64
# So few say nothing about the others.
_KEYS_TOO_FEW = 2
# The shortest prefix a network behind a peer may have: anything wider is a default route in disguise.
_NETWORK_MINIMUM = {4: 8, 6: 16}


def check_fabric(fabric: Fabric, peer_hosts: Iterable[str], problems: Problems) -> None:
    """Check the declaration as a whole.

    peer_hosts: the inventory hosts in the group of managed peers, which `host:` must name.
    """
    _check_supernets(fabric, problems)
    _check_hubs(fabric, problems)
    for things in (fabric.tenants, fabric.services, fabric.policies):
        unique(
            ((item.name, (*item.path, "name")) for item in things), "is the name of another one", "rename one", problems
        )
    for tenant in fabric.tenants:
        names = ((segment.name, (*segment.path, "name")) for segment in tenant.segments)
        unique(names, "is the name of another segment of this tenant", "rename one", problems)
    for _holder, _segment, peers in segments_of(fabric):
        names = ((peer.name, (*peer.path, "name")) for peer in peers)
        unique(names, "is the name of another peer of this segment", "rename one", problems)
    _check_peers(fabric, set(peer_hosts), problems)
    _check_subnets(fabric, problems)
    _check_addresses(fabric, problems)
    _check_networks(fabric, problems)
    for policy in fabric.policies:
        _check_policy(policy, problems)
    for service in fabric.services:
        if not service.ports and not problems.touches((*service.path, "ports")):
            problems.add((*service.path, "ports"), NO_VALUE, "is a list of nothing", "name at least one port")
    _check_revoked(fabric, problems)
    _refuse_private_keys(fabric, problems)


def _refuse_private_keys(fabric: Fabric, problems: Problems) -> None:
    """Report private keys that stand where public ones belong, without showing them.

    A made-up key has a private one's form in one case of thirty. So where most other keys are made up too, as in a
    draft or a benchmark, the form proves nothing; where they are real, no public key ever has it.
    """
    places = [
        (peer.public_key, (*peer.path, "public_key"))
        for _holder, _segment, peers in segments_of(fabric)
        for peer in peers
        if peer.public_key is not None
    ]
    places += [(item.public_key, (*item.path, "public_key")) for item in fabric.revoked]
    raws = [(binascii.a2b_base64(word), path) for word, path in places]
    suspects = [(raw, path) for raw, path in raws if has_private_form(raw)]
    if not suspects:
        return
    sample = [raw for raw, _path in raws if not has_private_form(raw)][:_KEYS_SAMPLED]
    if len(sample) > _KEYS_TOO_FEW and sum(map(is_public, sample)) * 2 < len(sample):
        return
    thorough = len(suspects) <= _SUSPECTS_LIMIT
    for raw, path in suspects:
        if not is_public(raw, thorough):
            remedy = "write the public key of a new pair: this one has been seen by others"
            problems.add(path, NO_VALUE, "is a private key", remedy)


def segments_of(fabric: Fabric) -> Iterator[tuple[Tenant | None, Segment | None, tuple[Peer, ...]]]:
    """Yield every segment with its tenant and peers, management first (with neither tenant nor segment)."""
    if fabric.management is not None:
        yield None, None, fabric.management.peers
    for tenant in fabric.tenants:
        for segment in tenant.segments:
            yield tenant, segment, segment.peers


def _holders(fabric: Fabric) -> Iterator[Management | Segment]:
    """Yield everything that has a subnet: management and the segments."""
    if fabric.management is not None:
        yield fabric.management
    for tenant in fabric.tenants:
        yield from tenant.segments


def unique(items: Iterable[tuple[Any, Path]], wrong: str, remedy: str, problems: Problems) -> None:
    """Report every value that stands a second time, with the place of the first."""
    first: dict[Any, Path] = {}
    for value, path in items:
        if value in first:
            shown = value.address if isinstance(value, Prefix) else value
            problems.add(path, shown, wrong, remedy, first[value])
        else:
            first[value] = path


def _check_supernets(fabric: Fabric, problems: Problems) -> None:
    """Refuse supernets that cannot hold a subnet of the allocated length."""
    pairs = (
        ("supernet", "segment_prefix", fabric.supernet, fabric.segment_prefix),
        ("supernet_v6", "segment_prefix_v6", fabric.supernet_v6, fabric.segment_prefix_v6),
    )
    for supernet_key, prefix_key, supernet, length in pairs:
        if supernet is not None and supernet.length > length:
            problems.add(
                (f"wireguard_{supernet_key}",),
                supernet.text,
                f"is smaller than one subnet of /{length}",
                f"widen it or raise wireguard_{prefix_key}",
                (f"wireguard_{prefix_key}",),
            )
        if supernet is not None and any(never.overlaps(supernet) for never in _NEVER_BEHIND):
            problems.add(
                (f"wireguard_{supernet_key}",),
                supernet.text,
                "is not a network that hosts can have",
                "use a private network such as 10.100.0.0/16 or fd64:e5a:100::/48",
            )


def _check_hubs(fabric: Fabric, problems: Problems) -> None:
    """Every tenant has one hub, by name where there are several."""
    names = [hub.name for hub in fabric.hubs]
    holders: list[Tenant | Management] = [*fabric.tenants, *([fabric.management] if fabric.management else [])]
    for holder in holders:
        if holder.hub is not None and holder.hub not in names:
            problems.add(
                (*holder.path, "hub"), holder.hub, "is not a host of the hubs' group", f"use one of {', '.join(names)}"
            )
        elif holder.hub is None and len(names) > 1 and isinstance(holder, Tenant):
            problems.add(
                (*holder.path, "hub"),
                NO_VALUE,
                "is missing, and there are several hubs",
                f"name one of {', '.join(names)}",
            )


def _check_peers(fabric: Fabric, peer_hosts: set[str], problems: Problems) -> None:
    """Each peer is of exactly one kind; no key stands twice; a managed peer is a host of the inventory."""
    keys: list[tuple[Any, Path]] = []
    hub_names = {hub.name for hub in fabric.hubs}
    for _tenant, _segment, peers in segments_of(fabric):
        hosts = ((peer.host, (*peer.path, "host")) for peer in peers if peer.host)
        unique(hosts, "is another peer of this segment", "a host is one peer of a segment: remove one", problems)
        for peer in peers:
            kinds = [key for key in ("host", "public_key", "key") if getattr(peer, key) is not None]
            told = any(problems.touches((*peer.path, key)) for key in ("host", "public_key", "key"))
            if len(kinds) != 1 and not told:
                wrong = f"has {' and '.join(kinds)}" if kinds else "is neither managed, external nor generated"
                problems.add(
                    peer.path,
                    NO_VALUE,
                    wrong,
                    "give it exactly one: host (an inventory host), public_key (external) or key: generated",
                )
            if peer.public_key is not None:
                keys.append((peer.public_key, (*peer.path, "public_key")))
            if peer.host is not None and peer.host in hub_names:
                problems.add((*peer.path, "host"), peer.host, "is a hub", "a hub is no peer: remove it")
            elif peer.host is not None and peer.host not in peer_hosts:
                problems.add(
                    (*peer.path, "host"),
                    peer.host,
                    "is not a host of the managed peers' group",
                    "add it to group wireguard_peers, or give the peer a public_key",
                )
    unique(keys, "is the key of another peer", "every peer needs a key of its own", problems)


def _check_revoked(fabric: Fabric, problems: Problems) -> None:
    """A key is revoked once."""
    keys = ((item.public_key, (*item.path, "public_key")) for item in fabric.revoked)
    unique(keys, "is revoked already", "remove one", problems)


def _check_subnets(fabric: Fabric, problems: Problems) -> None:
    """Declared subnets lie in the supernet, have room for a hub and a peer, and do not overlap."""
    declared: list[tuple[Prefix, Path]] = []
    holders: list[Segment | Management] = [fabric.management] if fabric.management else []
    holders += [segment for _tenant, segment, _peers in segments_of(fabric) if segment is not None]
    for holder in holders:
        for key, subnet, supernet in (
            ("subnet", holder.subnet, fabric.supernet),
            ("subnet_v6", holder.subnet_v6, fabric.supernet_v6),
        ):
            if subnet is None:
                continue
            path = (*holder.path, key)
            if supernet is None:
                problems.add(path, subnet.text, "is declared without wireguard_supernet_v6", "set it, or remove this")
            elif not supernet.contains(subnet):
                problems.add(
                    path,
                    subnet.text,
                    f"lies outside {supernet.text}",
                    "choose a subnet inside, or widen the supernet",
                    ("wireguard_supernet" if subnet.family == 4 else "wireguard_supernet_v6",),
                )
            elif subnet.size < 4:
                problems.add(path, subnet.text, "has no room for the hub and a peer", "use a wider subnet")
            else:
                declared.append((subnet, path))
    blocks = ((subnet, number) for number, (subnet, _path) in enumerate(declared))
    for wide, narrow in overlapping(blocks):
        subnet, path = declared[max(wide, narrow)]
        other = declared[min(wide, narrow)]
        problems.add(path, subnet.text, f"overlaps {other[0].text}", "choose another subnet for one of them", other[1])


def _check_addresses(fabric: Fabric, problems: Problems) -> None:
    """Declared addresses lie in the declared subnet, and no two peers of a segment have the same.

    Those in an allocated subnet are checked where it is allocated.
    """
    for holder in _holders(fabric):
        for key, subnet in (("address", holder.subnet), ("address_v6", holder.subnet_v6)):
            own = [(getattr(peer, key), (*peer.path, key)) for peer in holder.peers if getattr(peer, key) is not None]
            unique(own, "is the address of another peer", "give each its own", problems)
            if subnet is None or subnet.size < 4:
                continue
            for address, path in own:
                fault = address_fault(address, subnet)
                if fault:
                    lowest, highest = (subnet.host(number).address for number in host_bounds(subnet))
                    problems.add(path, address.address, fault, f"choose one from {lowest} to {highest}")


def _check_networks(fabric: Fabric, problems: Problems) -> None:
    """Networks behind peers stay clear of the fabric, of each other in a segment, and of special ranges."""
    for _tenant, _segment, peers in segments_of(fabric):
        seen: list[tuple[Prefix, Path]] = []
        for peer in peers:
            for index, network in enumerate(peer.networks):
                path = (*peer.path, "networks", index)
                supernets = {"wireguard_supernet": fabric.supernet, "wireguard_supernet_v6": fabric.supernet_v6}
                hit = next((key for key, block in supernets.items() if block and block.overlaps(network)), None)
                if hit:
                    problems.add(
                        path,
                        network.text,
                        "overlaps the supernet",
                        "only networks outside it lie behind a peer",
                        (hit,),
                    )
                elif network.length < _NETWORK_MINIMUM[network.family] or any(
                    never.overlaps(network) for never in _NEVER_BEHIND
                ):
                    problems.add(
                        path, network.text, "is no network that can lie behind a peer", "name the site's own networks"
                    )
                elif network.family == 6 and fabric.supernet_v6 is None:
                    problems.add(
                        path, network.text, "is declared without wireguard_supernet_v6", "set it, or remove this"
                    )
                else:
                    seen.append((network, path))
        for wide, narrow in overlapping((network, number) for number, (network, _path) in enumerate(seen)):
            network, path = seen[max(wide, narrow)]
            other = seen[min(wide, narrow)]
            problems.add(
                path, network.text, f"overlaps {other[0].text} in the same segment", "give each site its own", other[1]
            )


def _check_policy(policy: Policy, problems: Problems) -> None:
    """Ports stand exactly where no service brings them; nothing is left empty."""
    for key, items in (("from", policy.from_), ("to", policy.to), ("ports", policy.ports)):
        if items is not None and not items and not problems.touches((*policy.path, key)):
            problems.add((*policy.path, key), NO_VALUE, "is a list of nothing", "name something, or remove the policy")
    services = [selector for selector in policy.to if selector.startswith("service:")]
    if services and policy.ports is not None:
        problems.add(
            (*policy.path, "ports"),
            NO_VALUE,
            f"stands beside {services[0]}, which brings its own ports",
            "remove the ports, or name the peer and not the service",
        )
    if len(services) < len(policy.to) and policy.ports is None and not problems.touches((*policy.path, "ports")):
        problems.add(
            (*policy.path, "ports"),
            NO_VALUE,
            "is missing: only a service brings its own ports",
            "add ports such as [tcp/22], or ports: [all]",
        )
