# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes: the second wall, and the way of replies through it."""

from __future__ import annotations

from ipaddress import ip_network

from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    Compiled,
    compiled,
    peer,
    policy,
    segment,
    tenant,
)

HUB_TABLE = 10000


def routes(plan: Compiled, family: int = 4) -> dict[str, set[tuple[str, str]]]:
    """Return what each table has: destinations with the segment that they lead to. The hub's own table is `hub`."""
    names = {item["table"]: name for name, item in plan.allocations.items()} | {HUB_TABLE: "hub"}
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in names.values()}
    for interface in plan.hub["interfaces"]:
        for route in interface["routes"]:
            if ip_network(route["to"]).version == family:
                found[names[route["table"]]].add((route["to"], interface["segment"]))
    return found


def test_without_policies_a_segment_reaches_itself_alone():
    plan = compiled(tenant("a", segment("s", peer("p"))), tenant("b", segment("s", peer("p"))))
    assert routes(plan) == {
        "hub": {("10.100.0.0/24", "management"), ("10.100.1.0/24", "a/s"), ("10.100.2.0/24", "b/s")},
        "management": {("10.100.0.0/24", "management")},
        "a/s": {("10.100.1.0/24", "a/s")},
        "b/s": {("10.100.2.0/24", "b/s")},
    }


def test_the_hub_says_whence_it_sends():
    """Its own packets leave with its address in the segment, or nobody could answer."""
    plan = compiled(tenant("a", segment("s")), supernet_v6=SUPERNET_V6)
    own = [route for route in plan.interfaces["a/s"]["routes"] if route["table"] == HUB_TABLE]
    assert own == [
        {"table": HUB_TABLE, "to": "10.100.1.0/24", "from": "10.100.1.1"},
        {"table": HUB_TABLE, "to": "fd64:e5a:100:1::/64", "from": "fd64:e5a:100:1::1"},
    ]
    others = [route for route in plan.interfaces["a/s"]["routes"] if route["table"] != HUB_TABLE]
    assert {route["from"] for route in others} == {None}


def test_between_segments_only_single_peers_are_routed():
    """There and back: the peer that a policy names, and the peers that may ask it.

    Broken on purpose: the target's whole subnet routed; the way back left out.
    """
    plan = compiled(
        tenant("a", segment("s", peer("p"), peer("q"))),
        tenant("b", segment("s", peer("p"), peer("q"))),
        policies=[policy("x", ["a/s"], ["b/s/p"], "tcp/1")],
        supernet_v6=SUPERNET_V6,
    )
    assert routes(plan)["a/s"] == {("10.100.1.0/24", "a/s"), ("10.100.2.2/32", "b/s")}
    assert routes(plan)["b/s"] == {("10.100.2.0/24", "b/s"), ("10.100.1.2/32", "a/s"), ("10.100.1.3/32", "a/s")}
    assert routes(plan, 6)["a/s"] == {("fd64:e5a:100:1::/64", "a/s"), ("fd64:e5a:100:2::2/128", "b/s")}
    assert routes(plan, 6)["b/s"] == {
        ("fd64:e5a:100:2::/64", "b/s"),
        ("fd64:e5a:100:1::2/128", "a/s"),
        ("fd64:e5a:100:1::3/128", "a/s"),
    }


def test_isolated_peers_have_no_route_to_each_other():
    plan = compiled(tenant("a", segment("s", peer("p"), peer("q"), peer_isolation=True)))
    assert routes(plan)["a/s"] == set()
    joined = compiled(
        tenant("a", segment("s", peer("p"), peer("q"), peer_isolation=True)),
        policies=[policy("x", ["a/s/p"], ["a/s/q"], "tcp/1")],
    )
    assert routes(joined)["a/s"] == {("10.100.1.2/32", "a/s"), ("10.100.1.3/32", "a/s")}


def test_barred_peers_are_not_routed_between_segments():
    plan = compiled(
        tenant("a", segment("s", peer("p"))),
        tenant("b", segment("s", peer("gone", expires="2026-06-01"), peer("here"))),
        policies=[policy("x", ["a"], ["b"], "tcp/1")],
    )
    assert routes(plan)["a/s"] == {("10.100.1.0/24", "a/s"), ("10.100.2.3/32", "b/s")}


def test_hub_and_internet_need_no_route_in_a_segments_table():
    """No default route either: with the firewall flushed it would lead out."""
    plan = compiled(
        tenant("a", segment("s", peer("p"), internet="nat")), policies=[policy("x", ["a"], ["hub"], "icmp")]
    )
    assert routes(plan)["a/s"] == {("10.100.1.0/24", "a/s")}
    assert not [route for each in routes(plan).values() for route in each if route[0].endswith("/0")]


def test_a_site_is_routed_where_its_peer_is():
    """In its own segment, to whom a policy joins, and for the hub itself as long as nobody else has the same."""
    plan = compiled(
        tenant("a", segment("s", peer("site", networks=["192.168.1.0/24"]))),
        tenant("b", segment("s", peer("p"))),
        policies=[policy("x", ["b"], ["a/s/site"], "tcp/1")],
    )
    site = ("192.168.1.0/24", "a/s")
    assert site in routes(plan)["a/s"]
    assert site in routes(plan)["b/s"]
    assert site in routes(plan)["hub"]
    assert site not in routes(plan)["management"]


def test_sites_that_are_alike_stay_in_their_segments():
    """The hub itself could not say which of them is meant."""
    plan = compiled(
        tenant("a", segment("s", peer("site", networks=["192.168.1.0/24"]))),
        tenant("b", segment("s", peer("site", networks=["192.168.0.0/16"]))),
    )
    assert ("192.168.1.0/24", "a/s") in routes(plan)["a/s"]
    assert ("192.168.0.0/16", "b/s") in routes(plan)["b/s"]
    assert not [route for route in routes(plan)["hub"] if route[0].startswith("192.")]


def test_every_hub_has_only_its_own():
    plan = compiled(
        tenant("a", segment("s", peer("p")), hub="hub1"),
        tenant("b", segment("s", peer("p")), hub="hub2"),
        hubs={"hub1": ({}, None), "hub2": ({}, None)},
    )
    segments = {name: [item["segment"] for item in hub["interfaces"]] for name, hub in plan.plan["hubs"].items()}
    assert segments == {"hub1": ["a/s", "management"], "hub2": ["b/s"]}
    for hub in plan.plan["hubs"].values():
        own = {"10000", *(str(plan.allocations[item["segment"]]["table"]) for item in hub["interfaces"])}
        assert set(hub["routing"]["tables"]) == own
        assert {str(route["table"]) for item in hub["interfaces"] for route in item["routes"]} <= own
