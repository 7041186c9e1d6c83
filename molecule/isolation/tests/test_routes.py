# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the hub would send what arrives on a segment's interface."""

from __future__ import annotations

import pytest
from labnet import HUB, IDS, INTERNET4, INTERNET6, Lab, Peer

# What else is out there: the hub's own network, private ones, metadata services, the internet.
ELSEWHERE = [
    "172.30.99.25", "192.168.0.1", "10.99.0.1", "10.101.0.1", "169.254.169.254", "100.64.0.1", INTERNET4,
    "fd7e:a57:99::25", "fd00::1", "fd64:e5a:101::1", INTERNET6,
]  # fmt: skip
# To whose single addresses a segment's table leads, beside its own subnet.
WAYS: dict[str, set[str]] = {
    "management": {"tenant-a/production"},
    "tenant-a/production": {"management", "shared/services"},
    "tenant-a/development": set(),
    "tenant-b/production": {"shared/services"},
    "shared/services": {"tenant-a/production", "tenant-b/production"},
}


@pytest.mark.invariant(1, 10)
def test_main_table_knows_no_tenant(lab: Lab) -> None:
    """Each link's fe80::/64 is the kernel's own.

    Seen red with one tenant's subnet in the main table.
    """
    interfaces = {segment.interface for segment in lab.segments.values()}
    for family in ("-4", "-6"):
        for table in ("main", "default"):
            lines = lab.sh(HUB, f"ip {family} route show table {table} 2>/dev/null || true").splitlines()
            routes = [line for line in lines if not line.startswith("fe80::/64 ")]
            assert [line for line in routes if line.startswith(("10.100.", "fd64:e5a:100"))] == []
            assert [line for line in routes if interfaces & set(line.split())] == []


@pytest.mark.invariant(1, 10)
def test_every_table_is_closed_in_both_families(lab: Lab) -> None:
    """Seen red with the IPv6 `unreachable default` of one table deleted."""
    for table in (10000, *(segment.table for segment in lab.segments.values())):
        for family in ("-4", "-6"):
            last = lab.sh(HUB, f"ip {family} route show table {table} default")
            assert last.startswith("unreachable default"), f"{table} {family}: {last}"


@pytest.mark.invariant(1, 10)
@pytest.mark.parametrize("host", IDS)
def test_a_segment_is_looked_up_in_its_own_table_only(lab: Lab, peers: dict[str, Peer], host: str) -> None:
    """Seen red with the rules of one interface deleted."""
    me = peers[host]
    targets = [*ELSEWHERE, *(each for peer in peers.values() for each in peer.addresses)]
    script = "\n".join(
        f"echo {target} $(ip route get {target} from {me.v6 if ':' in target else me.v4} iif {me.interface} 2>&1)"
        for target in targets
    )
    # With nothing after it, so that " dev x " is also found at the end.
    answers = {line.split()[0]: f"{line} " for line in lab.sh(HUB, script).splitlines()}
    assert answers.keys() == set(targets)
    for target in ELSEWHERE:
        assert closed(answers[target]), answers[target]
    table = f" table tn-{me.segment.replace('/', '.')} "
    for peer in peers.values():
        for target in peer.addresses:
            if peer.segment == me.segment or peer.segment in WAYS[me.segment]:
                assert f" dev {peer.interface} " in answers[target], answers[target]
                assert table in answers[target], answers[target]
            else:
                assert closed(answers[target]), answers[target]


def closed(answer: str) -> bool:
    """Tell whether a look-up ended at an `unreachable`: an error, or in IPv6 a route of that type."""
    return "No route to host" in answer or " unreachable " in answer
