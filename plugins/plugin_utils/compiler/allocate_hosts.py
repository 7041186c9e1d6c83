# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation of what a peer has: its addresses in its segment."""

from __future__ import annotations

from .addresses import Prefix
from .model import Peer
from .numbers import FreeNumbers, address_fault, host_bounds, mirrored_host
from .placed import PlacedPeer, PlacedSegment
from .problems import NO_VALUE, Problems
from .quarantine import owners
from .record import ROOT, PeerRecord, Released


def place_peers(
    segment: PlacedSegment, recorded: dict[str, PeerRecord], waiting: dict[str, Released], problems: Problems
) -> None:
    """Give every peer of a segment its addresses, in the order of names."""
    declared = sorted(segment.declared.peers, key=lambda peer: peer.name)
    v4 = _place_hosts(segment, segment.subnet, "address", declared, recorded, waiting, {}, problems)
    v6: dict[str, Prefix] = {}
    if segment.subnet_v6 is not None:
        wished = {name: mirrored_host(block.value - segment.subnet.value) for name, block in v4.items()}
        v6 = _place_hosts(segment, segment.subnet_v6, "address_v6", declared, recorded, waiting, wished, problems)
    else:
        for peer in declared:
            if peer.address_v6 is not None:
                problems.add(
                    (*peer.path, "address_v6"),
                    peer.address_v6.address,
                    "is declared without wireguard_supernet_v6",
                    "set it, or remove this",
                )
    for peer in declared:
        if peer.name in v4 and (segment.subnet_v6 is None or peer.name in v6):
            placed = PlacedPeer(f"{segment.id}/{peer.name}", peer, segment, v4[peer.name], v6.get(peer.name))
            segment.peers.append(placed)


def _place_hosts(
    segment: PlacedSegment,
    subnet: Prefix,
    key: str,
    declared: list[Peer],
    recorded: dict[str, PeerRecord],
    waiting: dict[str, Released],
    wished: dict[str, int],
    problems: Problems,
) -> dict[str, Prefix]:
    """Decide the addresses of one family in one segment; `wished` are host numbers to prefer."""
    lowest, highest = host_bounds(subnet)
    holders: dict[Prefix, Peer] = {}
    for peer in declared:
        address: Prefix | None = getattr(peer, key)
        if address is None:
            continue
        fault = address_fault(address, subnet)
        if fault:
            problems.add(
                (*peer.path, key),
                address.address,
                fault,
                f"choose one from {subnet.host(lowest).address} to {subnet.host(highest).address}",
            )
        elif address in holders:
            problems.add(
                (*peer.path, key),
                address.address,
                "is the address of another peer",
                "give each its own",
                (*holders[address].path, key),
            )
        else:
            holders[address] = peer
    for peer in declared:
        kept = recorded.get(peer.name)
        address = (kept.v4 if key == "address" else kept.v6) if kept else None
        if getattr(peer, key) is not None or address is None or address_fault(address, subnet):
            continue
        if address in holders:
            other = holders[address]
            problems.add(
                (*other.path, key) if getattr(other, key) else (*ROOT, "segments", segment.id, "peers", other.name),
                address.address,
                f"is recorded for {segment.id}/{peer.name}",
                "choose another, or remove that peer's record to renumber it",
                (*ROOT, "segments", segment.id, "peers", peer.name),
            )
        else:
            holders[address] = peer
    family = subnet.family
    own = {f"{segment.id}/{peer.name}": peer for peer in declared if getattr(peer, key) is None}
    settled = {peer.name for peer in holders.values()}
    had = {block: was for block, was in owners(waiting, family, subnets=False).items() if subnet.contains(block)}
    for block, was in sorted(had.items()):
        # Who comes back gets his own again, before anybody else is served.
        if was in own and own[was].name not in settled and block not in holders and not address_fault(block, subnet):
            holders[block] = own[was]
            settled.add(own[was].name)
    taken = [(block.value - subnet.value,) * 2 for block in {*holders, *had}]
    placed = {peer.name: address for address, peer in holders.items()}
    free = FreeNumbers(lowest, highest, taken)
    for peer in declared:
        if peer.name in placed or getattr(peer, key) is not None:
            continue
        preferred = wished.get(peer.name)
        number = preferred if preferred is not None and free.claim(preferred) else free.take() or 0
        if not number:
            problems.add(peer.path, NO_VALUE, f"finds no free address in {subnet.text}", "widen the segment's subnet")
            break
        placed[peer.name] = subnet.host(number)
    return placed
