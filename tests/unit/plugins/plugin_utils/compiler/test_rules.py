# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of routing rules, walked by a small reference of what the kernel does.

Rules of one priority stand in the kernel in the order in which a host's history added them, so everything is tried in
several orders.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.rules import (
    MARK_FROM_INTERNET,
    MARK_ROTATION,
    MARK_TO_INTERNET,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    Compiled,
    compiled,
    peer,
    segment,
    tenant,
)
from ansible_collections.tenantnet.wireguard.tests.unit.support.iprule import (
    MAIN,
    UNREACHABLE,
    Packet,
    orders,
)

UPLINK = "eth0"
INTERNET = {4: "198.51.100.7", 6: "2001:db8:1::7"}
BEHIND = {4: "192.168.9.9", 6: "2001:db8:9::9"}

# By name: what makes the tree deep or shallow, wide or narrow.
FABRICS: dict[str, dict[str, Any]] = {
    "usual": {"tenants": [tenant("a", segment("s"), segment("t")), tenant("b", segment("s"))]},
    "nothing but management": {"tenants": []},
    "every size of subnet": {
        "tenants": [
            tenant(
                "a",
                segment("wide", subnet="10.100.128.0/17", subnet_v6="fd64:e5a:100:8000::/49"),
                segment("middle", subnet="10.100.64.0/20", subnet_v6="fd64:e5a:100:4000::/56"),
                segment("usual", subnet="10.100.3.0/24", subnet_v6="fd64:e5a:100:3::/64"),
                segment("narrow", subnet="10.100.4.16/28", subnet_v6="fd64:e5a:100:4::/126"),
                segment("neighbour", subnet="10.100.4.32/28", subnet_v6="fd64:e5a:100:4::4/126"),
            )
        ]
    },
    "a supernet of one subnet": {"tenants": [], "supernet": "10.100.7.0/24", "supernet_v6": "fd64:e5a:100:7::/64"},
    "a small supernet": {
        "tenants": [tenant("a", *(segment(f"s{number}") for number in range(3)))],
        "supernet": "10.100.4.0/22",
        "supernet_v6": "fd64:e5a:100:4::/62",
    },
    "a wide supernet": {
        "tenants": [
            tenant(
                "a",
                segment("s1"),
                segment("s2", subnet="10.255.255.0/24", subnet_v6="fdff:ffff:ffff:ffff::/64"),
                segment("s3", subnet="10.128.0.0/10", subnet_v6="fd80::/10"),
            )
        ],
        "supernet": "10.0.0.0/8",
        "supernet_v6": "fd00::/8",
    },
    "narrow subnets": {
        "tenants": [tenant("a", *(segment(f"s{number:02}") for number in range(40)))],
        "segment_prefix": 30,
        "segment_prefix_v6": 126,
    },
    "full": {"tenants": [tenant("a", *(segment(f"s{number:03}") for number in range(255)))]},
}


@pytest.fixture(scope="module", params=FABRICS)
def plan(request: pytest.FixtureRequest) -> Compiled:
    options = {"supernet_v6": SUPERNET_V6, **FABRICS[request.param]}
    return compiled(*options.pop("tenants"), **options)


def rules_of(plan: Compiled, family: int) -> list[list[Any]]:
    rules: list[list[Any]] = plan.hub["routing"]["rules"][str(family)]
    return rules


def sources(subnet: str) -> list[str]:
    """Return the first, a middle and the last address of a subnet."""
    block = ip_network(subnet)
    return [str(block[0]), str(block[block.num_addresses // 2]), str(block[-1])]


@pytest.mark.parametrize("family", [4, 6])
def test_every_goto_goes_forward_to_a_rule(plan: Compiled, family: int):
    """Broken on purpose: children numbered before their parents."""
    rules = rules_of(plan, family)
    priorities = {priority for priority, _selector, _action in rules}
    base, last = plan.hub["routing"]["priorities"]
    assert all(base <= priority <= last for priority in priorities)
    for priority, selector, action in rules:
        if action.startswith("goto "):
            assert int(action.split()[1]) > priority, selector
            assert int(action.split()[1]) in priorities, selector
    assert len(rules) == len(set(map(tuple, rules)))


@pytest.mark.parametrize("family", [4, 6])
def test_a_segment_finds_its_own_table_and_nobody_elses(plan: Compiled, family: int):
    """Every segment, from every segment's addresses: its own table for its own, for another's at most its own.

    Nothing that arrives on a segment's interface is ever looked up in main or in the hub's own table.
    Broken on purpose: a leaf that says `lookup` without `iif`.
    """
    key = "subnet" if family == 4 else "subnet_v6"
    near = list(plan.allocations.values())
    for rules in orders(rules_of(plan, family)):
        for number, here in enumerate(near):
            # Of 256 segments every ninth, each with its neighbours, the first and the last.
            if len(near) > 100 and number % 9:
                continue
            own = str(here["table"])
            for source in sources(here[key]):
                for destination in (
                    INTERNET[family],
                    BEHIND[family],
                    sources(near[0][key])[1],
                    sources(near[-1][key])[1],
                ):
                    assert rules.walk(Packet(here["interface"], source, destination)).tables == (own,)
            for other in {
                id(each): each for each in (near[0], near[-1], *near[max(0, number - 2) : number + 3])
            }.values():
                if other is not here:
                    for source in sources(other[key]):
                        found = rules.walk(Packet(here["interface"], source, INTERNET[family]))
                        assert set(found.tables) <= {own}
                        assert found.found in (own, UNREACHABLE)


@pytest.mark.parametrize("family", [4, 6])
def test_what_no_segment_has_is_unreachable(plan: Compiled, family: int):
    """A source of the supernet that is nobody's, and any other, on a segment's interface: never beyond its table."""
    supernet = ip_network(
        next(rule[1].split()[-1] for rule in rules_of(plan, family) if rule[2] == UNREACHABLE and "from" in rule[1])
    )
    for rules in orders(rules_of(plan, family)):
        for here in plan.allocations.values():
            for source in (str(supernet[0]), str(supernet[-1]), BEHIND[family], INTERNET[family]):
                found = rules.walk(Packet(here["interface"], source, INTERNET[family]))
                assert set(found.tables) <= {str(here["table"])}
                assert found.found in (str(here["table"]), UNREACHABLE)


@pytest.mark.parametrize("family", [4, 6])
def test_a_site_behind_a_peer_finds_its_segments_table(plan: Compiled, family: int):
    for rules in orders(rules_of(plan, family)):
        for here in plan.allocations.values():
            assert rules.walk(Packet(here["interface"], BEHIND[family], INTERNET[family])).found == str(here["table"])


@pytest.mark.parametrize("family", [4, 6])
def test_the_hubs_own_packets_go_by_destination(plan: Compiled, family: int):
    """To the fabric by the hub's own table, with or without a source; elsewhere by main unless the source is ours."""
    key = "subnet" if family == 4 else "subnet_v6"
    unset = "0.0.0.0" if family == 4 else "::"  # noqa: S104
    for rules in orders(rules_of(plan, family)):
        for here in plan.allocations.values():
            hub = sources(here[key])[0]
            for source in (unset, hub, INTERNET[family]):
                found = rules.walk(Packet("lo", source, sources(here[key])[1]))
                assert found.tables == ("10000",)
            assert rules.walk(Packet("lo", unset, INTERNET[family])).found == MAIN
            assert rules.walk(Packet("lo", sources(here[key])[1], INTERNET[family])).found == UNREACHABLE


@pytest.mark.parametrize("family", [4, 6])
def test_the_underlay_never_reaches_the_fabric(plan: Compiled, family: int):
    """Plain packets on the uplink with an address of ours on either side; everybody else's go their way.

    Broken on purpose: `to SUPERNET unreachable` left out.
    """
    key = "subnet" if family == 4 else "subnet_v6"
    for rules in orders(rules_of(plan, family)):
        assert rules.walk(Packet(UPLINK, INTERNET[family], BEHIND[family])).tables == ()
        assert rules.walk(Packet(UPLINK, INTERNET[family], BEHIND[family])).found == MAIN
        for here in plan.allocations.values():
            inside = sources(here[key])[1]
            assert rules.walk(Packet(UPLINK, INTERNET[family], inside)).found == UNREACHABLE
            assert rules.walk(Packet(UPLINK, inside, INTERNET[family])).found == UNREACHABLE


@pytest.mark.parametrize("family", [4, 6])
def test_marks_lead_out_and_back(plan: Compiled, family: int):
    """What the firewall marked on its way out goes by main, its replies by the hub's own table; no other counts."""
    key = "subnet" if family == 4 else "subnet_v6"
    for rules in orders(rules_of(plan, family)):
        for here in plan.allocations.values():
            inside = sources(here[key])[1]
            out = Packet(here["interface"], inside, INTERNET[family])
            assert rules.walk(out._replace(mark=MARK_TO_INTERNET)).found == MAIN
            assert rules.walk(out._replace(mark=MARK_TO_INTERNET | 0x4000)).found == MAIN
            for mark in (MARK_ROTATION, 0x8000, 51820, 0x80000):
                assert rules.walk(out._replace(mark=mark)).found == str(here["table"])
            back = Packet(UPLINK, INTERNET[family], inside, MARK_FROM_INTERNET)
            assert rules.walk(back).tables == ("10000",)


def test_marks_are_bits_of_their_own():
    marks = (MARK_TO_INTERNET, MARK_ROTATION, MARK_FROM_INTERNET)
    assert all(mark & (mark - 1) == 0 for mark in marks)
    assert len(set(marks)) == 3
    # wg-quick's mark is its listen port, Kubernetes' are 0x4000 and 0x8000.
    assert all(mark > 0xFFFF for mark in marks)


def test_a_packet_reads_few_rules_however_many_segments_there_are():
    """255 segments: 20 to 30 rules. One rule after another it would be up to 255.

    Broken on purpose: a tree of depth 1.
    """
    plan = compiled(tenant("a", *(segment(f"s{number:03}") for number in range(255))))
    (rules,) = orders(rules_of(plan, 4), tries=1)
    reads = [
        rules.walk(Packet(here["interface"], sources(here["subnet"])[1], INTERNET[4])).read
        for here in plan.allocations.values()
    ]
    assert max(reads) <= 30


def test_adding_a_segment_moves_nobodys_rules():
    """Rules are added one by one on a live hub: those that stand must be the ones that are wanted.

    Broken on purpose: nodes numbered in the order of segments.
    """
    names = [f"s{number:02}" for number in range(30)]
    before = compiled(tenant("b", *map(segment, names)))
    after = compiled(
        tenant("b", *map(segment, names)), tenant("a", segment("new", subnet="10.100.200.0/24")), record=before.record
    )
    assert {tuple(rule) for rule in rules_of(before, 4)} < {tuple(rule) for rule in rules_of(after, 4)}


def test_without_ipv6_there_are_no_rules_of_ipv6():
    plan = compiled(tenant("a", segment("s", peer("p"))))
    assert set(plan.hub["routing"]["rules"]) == {"4"}
    assert plan.hub["routing"]["families"] == [4]


def test_another_base_moves_all_priorities():
    usual = compiled(tenant("a", segment("s")))
    moved = compiled(tenant("a", segment("s")), rule_priority_base=9000)
    assert [rule[0] - 9000 for rule in rules_of(moved, 4)] == [rule[0] - 2000 for rule in rules_of(usual, 4)]
    assert moved.hub["routing"]["priorities"] == [9000, 31000]
    # The kernel's own main rule is 32766.
    assert max(rule[0] for rule in rules_of(moved, 4)) < 32766
