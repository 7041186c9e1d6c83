# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From policies to grants: the one compiled form that firewall, routes, configurations and verdicts share.

A grant says that one party may open connections to another on some ports. What a segment's own options
allow (its peers reach each other, its way to the internet) becomes grants too, so that nothing else in the
compiler has to know about options.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from .addresses import Prefix, overlapping
from .kinds import ALL_PORTS, Ports
from .model import Policy
from .placed import Network, PlacedSegment
from .problems import Path, Problems
from .selectors import HUB, INTERNET, Match, Selectors

# What stands in place of a policy's name where a segment's own option allows.
BY_SEGMENT = "peer_isolation: false"
BY_INTERNET = "internet: nat"
# A policy that joins more pairs than this was meant for segments, not for single peers: it would fill the
# firewall with elements. A segment as source or target counts as one.
PAIR_LIMIT = 100_000


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """`source` may open connections to `target` on `ports`, says `policy`."""

    source: str
    target: str
    ports: Ports
    policy: str


def compile_grants(network: Network, today: datetime.date, problems: Problems) -> list[Grant]:
    """Resolve every policy that has not expired, and the segments' own options, to sorted grants."""
    selectors = Selectors(network)
    selectors.check_services(problems)
    grants = set(_own_grants(network))
    for policy in network.fabric.policies:
        # An expired policy is still resolved: a mistake in it should not come to light by a new date.
        resolved = set(_policy_grants(policy, selectors, problems))
        if policy.expires is None or policy.expires > today:
            grants |= resolved
    _refuse_crossing_networks(network, grants, problems)
    barred = {peer.id for peer in network.peers.values() if peer.barred}
    return sorted(grant for grant in grants if grant.source not in barred and grant.target not in barred)


def bar_peers(network: Network, today: datetime.date) -> None:
    """Mark the peers that are kept out today: their key is revoked, or their day has come."""
    revoked = {item.public_key: item.reason for item in network.fabric.revoked}
    for peer in network.peers.values():
        if peer.declared.public_key in revoked:
            peer.barred = "revoked"
        elif peer.declared.expires is not None and peer.declared.expires <= today:
            peer.barred = f"expired {peer.declared.expires.isoformat()}"


def segment_of(party: str, network: Network) -> PlacedSegment | None:
    """Return the segment of a party; None for the hub and the internet."""
    if party in network.segments:
        return network.segments[party]
    return network.peers[party].segment if party in network.peers else None


def _own_grants(network: Network) -> Iterator[Grant]:
    """Yield what segments allow by their own options."""
    for segment in network.segments.values():
        if not segment.declared.peer_isolation:
            yield Grant(segment.id, segment.id, ALL_PORTS, BY_SEGMENT)
        if segment.internet == "nat":
            yield Grant(segment.id, INTERNET, ALL_PORTS, BY_INTERNET)


def _policy_grants(policy: Policy, selectors: Selectors, problems: Problems) -> Iterator[Grant]:
    """Yield the grants of one policy."""
    sources = _resolved(policy.from_, (*policy.path, "from"), selectors, problems)
    targets = _resolved(policy.to, (*policy.path, "to"), selectors, problems)
    before = len(problems.found)
    for match, path, word in sources:
        if match.ports is not None or INTERNET in match.parties:
            problems.add(path, word, "cannot open connections", "name a tenant, segment, peer, tag, management or hub")
    if len(problems.found) > before:
        return
    if HUB in {party for match, _path, _word in sources for party in match.parties}:
        for match, path, word in targets:
            if INTERNET in match.parties or HUB in match.parties:
                problems.add(
                    path,
                    word,
                    "is reached from the hub without us",
                    "remove it: the hub's own traffic is not the fabric's",
                )
                return
    pairs = sum(len(match.parties) for match, _p, _w in sources) * sum(len(match.parties) for match, _p, _w in targets)
    if pairs > PAIR_LIMIT:
        problems.add(
            policy.path, policy.name, f"joins {pairs} pairs, more than {PAIR_LIMIT}", "name segments, not tags"
        )
        return
    if not sources or not targets:
        return
    empty = True
    for source_match, _path, _word in sources:
        for target_match, _to_path, _to_word in targets:
            by_tag = source_match.by_tag or target_match.by_tag
            for source in source_match.parties:
                for target in target_match.parties:
                    if source == target and source in selectors.network.peers:
                        continue
                    if not _may_join(policy, source, target, by_tag, selectors.network, problems):
                        continue
                    empty = False
                    for ports in target_match.ports or policy.ports or ():
                        yield Grant(source, target, ports, policy.name)
    if empty and len(problems.found) == before:
        tagged = any(match.by_tag for match, _path, _word in (*sources, *targets))
        if not tagged:
            problems.add(policy.path, policy.name, "joins a peer with itself only", "name another party")
            return
        problems.add(
            policy.path,
            policy.name,
            "joins nothing: a tag matches only inside one tenant",
            "add cross_tenant: true, or name the peers",
        )


def _resolved(
    words: tuple[str, ...], path: Path, selectors: Selectors, problems: Problems
) -> list[tuple[Match, Path, str]]:
    """Resolve a list of selectors; wrong ones are reported and left out."""
    found = []
    for index, word in enumerate(words):
        match = selectors.resolve(word, (*path, index), problems)
        if match is not None:
            found.append((match, (*path, index), word))
    return found


def _may_join(policy: Policy, source: str, target: str, by_tag: bool, network: Network, problems: Problems) -> bool:
    """Tell whether a policy joins a pair; tags stay inside a tenant, and nothing crosses hubs yet."""
    here, there = segment_of(source, network), segment_of(target, network)
    if here is None or there is None:
        return True
    tenants = [segment for segment in (here, there) if segment.tenant != "management"]
    if by_tag and not policy.cross_tenant and len({segment.tenant for segment in tenants}) > 1:
        return False
    if here.hub != there.hub:
        problems.add(
            policy.path,
            policy.name,
            f"joins {source} on {here.hub} and {target} on {there.hub}",
            "place both tenants on one hub: hubs are not joined yet",
        )
        return False
    return True


def _refuse_crossing_networks(network: Network, grants: set[Grant], problems: Problems) -> None:
    """Report networks behind peers that leave their segment though another segment uses the same addresses.

    Inside its own segment a repeated network is told apart by interface and conntrack zone; beyond it, a
    grant by address would also admit the other one's.
    """
    blocks: list[tuple[Prefix, str, Path]] = [
        (block, segment.id, (*peer.declared.path, "networks", index))
        for segment in network.segments.values()
        for peer in segment.peers
        for index, block in enumerate(peer.declared.networks)
    ]
    if not blocks:
        return
    crossing = set()
    for grant in grants:
        if grant.policy != BY_SEGMENT:
            ends = segment_of(grant.source, network), segment_of(grant.target, network)
            crossing |= {segment.id for segment in ends if segment is not None}
    for first, second in overlapping((block, number) for number, (block, _id, _path) in enumerate(blocks)):
        late, early = blocks[max(first, second)], blocks[min(first, second)]
        if late[1] != early[1] and {late[1], early[1]} & crossing:
            problems.add(
                late[2],
                late[0].text,
                f"overlaps {early[0].text} of {early[1]}, and a policy speaks of their segments",
                "renumber one site, or keep both segments without policies",
                early[2],
            )
