# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler's own verdict: may this party open that connection?

It is evaluated from the grants and never from the rendered firewall, so that `verify`, which compares it
with packets, has two judges that share nothing but the declaration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .grants import Grant
from .kinds import ALL_PORTS, Ports
from .placed import Network
from .problems import Problems
from .selectors import HUB, INTERNET, Selectors

# The ports of tcp and udp; 0 cannot be listened on.
_LAST_PORT = 65535


class Verdicts:
    """Answers what is allowed in one network."""

    def __init__(self, network: Network, grants: Iterable[Grant]) -> None:
        """Index the grants by source and target."""
        self.network = network
        self._grants: dict[tuple[str, str], list[Grant]] = defaultdict(list)
        for grant in grants:
            self._grants[grant.source, grant.target].append(grant)

    def between(self, source: str, target: str) -> list[Grant]:
        """Return every grant that speaks of these parties or of the segments that hold them."""
        found: list[Grant] = []
        for each in self._holders(source):
            for other in self._holders(target):
                found += self._grants.get((each, other), ())
        return found

    def _holders(self, party: str) -> tuple[str, ...]:
        """Return a party and, for a peer, its segment; nothing for a peer that is kept out."""
        peer = self.network.peers.get(party)
        if peer is None:
            return (party,)
        return () if peer.barred else (party, peer.segment.id)

    def allows(self, source: str, target: str, ports: Ports) -> str | None:
        """Return the policy by which *all* of `ports` is allowed (the first by name), or None."""
        grants = self.between(source, target)
        named = sorted(grant.policy for grant in grants if grant.ports.covers(ports))
        if named:
            return named[0]
        joint = _jointly(ports, grants)
        return ", ".join(joint) if joint else None

    def touches(self, source: str, target: str, ports: Ports) -> str | None:
        """Return the policy by which *any* of `ports` is allowed (the first by name), or None."""
        named = sorted(grant.policy for grant in self.between(source, target) if grant.ports.meets(ports))
        return named[0] if named else None


def _jointly(ports: Ports, grants: list[Grant]) -> list[str]:
    """Return the policies that cover a range of ports together, or nothing."""
    if ports.protocol not in ("tcp", "udp"):
        return []
    wanted = ports.first
    used = []
    for grant in sorted((grant for grant in grants if grant.ports.protocol == ports.protocol), key=lambda g: g.ports):
        if grant.ports.first <= wanted <= grant.ports.last:
            used.append(grant.policy)
            wanted = grant.ports.last + 1
            if wanted > min(ports.last, _LAST_PORT):
                return sorted(set(used))
    return []


def run_tests(network: Network, grants: Iterable[Grant], problems: Problems) -> list[dict[str, object]]:
    """Run ``wireguard_policy_tests``; a wrong selector is a problem, a test that fails is a result.

    Each result: name, from, expect (accept or deny), to, result (pass or fail), reason.
    """
    selectors = Selectors(network)
    verdicts = Verdicts(network, grants)
    results: list[dict[str, object]] = []
    for test in network.fabric.policy_tests:
        source = selectors.resolve(test.from_, (*test.path, "from"), problems)
        if source is not None and HUB in source.parties:
            problems.add(
                (*test.path, "from"),
                test.from_,
                "is not filtered",
                "test what peers may open: the hub has every key",
            )
            source = None
        if source is not None and (source.ports is not None or INTERNET in source.parties):
            problems.add(
                (*test.path, "from"), test.from_, "cannot open connections", "name a tenant, segment, peer or tag"
            )
            source = None
        for expect, targets in (("accept", test.accept), ("deny", test.deny)):
            for index, text in enumerate(targets):
                target = selectors.target(text, (*test.path, expect, index), problems)
                if source is None or target is None:
                    continue
                reason = _failure(expect, source.parties, target.parties, target.ports or (ALL_PORTS,), verdicts)
                results.append(
                    {
                        "name": test.name or f"{test.from_} {expect} {text}",
                        "from": test.from_,
                        "expect": expect,
                        "to": text,
                        "result": "fail" if reason else "pass",
                        "reason": reason,
                    }
                )
    return results


def _failure(
    expect: str, sources: Iterable[str], targets: Iterable[str], ports: Iterable[Ports], verdicts: Verdicts
) -> str:
    """Say why a test fails; an empty string where it passes."""
    targets = tuple(targets)
    for source in sources:
        for target in targets:
            for wanted in ports:
                if expect == "accept":
                    for here, there in _single_pairs(source, target, verdicts.network):
                        if verdicts.allows(here, there, wanted) is None:
                            return f"no policy allows {here} to open {wanted.text} to {there}"
                else:
                    for here, there in _all_pairs(source, target, verdicts.network):
                        policy = verdicts.touches(here, there, wanted)
                        if policy is not None:
                            return f"{policy!r} allows {here} to open {wanted.text} to {there}"
    return ""


def _peers_in(party: str, network: Network) -> list[str]:
    """Return the ids of the admitted peers of a segment, or nothing for anything else."""
    segment = network.segments.get(party)
    return [peer.id for peer in segment.admitted] if segment else []


def _single_pairs(source: str, target: str, network: Network) -> Iterator[tuple[str, str]]:
    """Yield the pairs that must be allowed: peer by peer, or whole segments that have no peer yet."""
    for here in _peers_in(source, network) or [source]:
        for there in _peers_in(target, network) or [target]:
            if here != there:
                yield here, there


def _all_pairs(source: str, target: str, network: Network) -> Iterator[tuple[str, str]]:
    """Yield the pairs of which nothing may be allowed: whole segments and every peer in them."""
    for here in (source, *_peers_in(source, network)):
        for there in (target, *_peers_in(target, network)):
            if here != there or here not in network.peers:
                yield here, there
