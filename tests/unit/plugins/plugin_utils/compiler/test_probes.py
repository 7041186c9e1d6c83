# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which connections are tried: enough to see every policy and every wall from every managed peer."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    compiled,
    key,
    peer,
    policy,
    segment,
    tenant,
)

TENANTS = (
    tenant("a", segment("s", peer("w1", host="web1"), peer("w2", host="web2"), peer("x", public_key=key("alice")))),
    tenant("b", segment("s", peer("x", public_key=key("bob"))), segment("empty")),
    tenant("c", segment("s", peer("db1", host="db1"), peer_isolation=True)),
)


def probes(*policies: dict[str, Any], **options: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = compiled(*TENANTS, policies=list(policies), **options).plan["probes"]
    return found


def tried(found: list[dict[str, Any]], to: str) -> dict[str, str]:
    """Return what is expected of each port of a target."""
    return {
        each["protocol"] if each["protocol"] == "icmp" else f"{each['protocol']}/{each['port']}": each["expected"]
        for each in found
        if each["to"] == to
    }


CLOSED = {"tcp/22": "denied", "udp/53": "denied", "icmp": "denied"}
OPEN = dict.fromkeys(CLOSED, "accepted")


def test_every_managed_peer_probes_every_segment_and_the_hub():
    found = probes()
    assert set(found) == {"web1", "web2", "db1"}
    # An external peer stands for its segment where there is no managed one, an address of nobody's for an empty one.
    assert {each["to"] for each in found["web1"]} == {
        "a/s/w2", "b/s/x", "b/empty", "c/s/db1", "management", "hub", "hub:other-segment",
    }  # fmt: skip
    assert tried(found["web1"], "a/s/w2") == OPEN
    for target in ("b/s/x", "b/empty", "c/s/db1", "management", "hub", "hub:other-segment"):
        assert tried(found["web1"], target) == CLOSED, target


def test_what_a_policy_opens_to_one_is_tried_from_everybody():
    """Broken on purpose: the ports of policies probed only by those who may use them."""
    found = probes(policy("x", ["a/s/w1"], ["c/s/db1"], "tcp/3306-3310", "icmp"))
    assert tried(found["web1"], "c/s/db1") == {**CLOSED, "icmp": "accepted", "tcp/3306": "accepted"}
    assert tried(found["web2"], "c/s/db1") == {**CLOSED, "tcp/3306": "denied"}
    by = {(each["to"], each["port"]): each["policy"] for each in found["web1"]}
    assert by["c/s/db1", 3306] == "x"
    assert by["c/s/db1", 22] is None


def test_a_services_peer_is_probed_where_it_stands_for_nobody():
    """Of many managed peers two stand for a segment; the service's is tried beside them."""
    peers = [peer(f"p{number}", host=f"h{number}") for number in range(5)]
    plan = compiled(
        tenant("a", segment("s", *peers)),
        tenant("b", segment("s", peer("p", host="web1"))),
        services=[{"name": "web", "at": "a/s/p4", "ports": ["tcp/80"]}],
        policies=[policy("x", ["b"], ["service:web"])],
        hosts=[*(f"h{number}" for number in range(5)), "web1"],
    )
    assert tried(plan.plan["probes"]["web1"], "a/s/p4") == {**CLOSED, "tcp/80": "accepted"}
    assert {each["to"] for each in plan.plan["probes"]["web1"]} >= {"a/s/p0", "a/s/p1", "a/s/p4"}
    assert "a/s/p2" not in {each["to"] for each in plan.plan["probes"]["web1"]}


def test_both_families_are_probed():
    found = probes(supernet_v6=SUPERNET_V6, verify_internet=["203.0.113.10", "2001:db8:99::10"])
    for target in {each["to"] for each in found["web1"]}:
        families = {each["family"] for each in found["web1"] if each["to"] == target}
        assert families == {4, 6}, target
    assert all((":" in each["source"]) == (":" in each["address"]) == (each["family"] == 6) for each in found["web1"])


def test_the_internet_is_probed_where_a_host_is_named():
    assert "internet" not in {each["to"] for each in probes()["web1"]}
    found = probes(policy("x", ["a/s/w1"], ["internet"], "udp/53"), verify_internet=["203.0.113.10", "2001:db8:99::10"])
    # Only IPv4 is declared: an address of IPv6 is nobody's to probe.
    assert {each["address"] for each in found["web1"] if each["to"] == "internet"} == {"203.0.113.10"}
    assert tried(found["web1"], "internet") == {"tcp/443": "denied", "udp/53": "accepted", "icmp": "denied"}
    assert tried(found["web2"], "internet") == {"tcp/443": "denied", "udp/53": "denied", "icmp": "denied"}


def test_ids_are_places_in_a_hosts_list():
    """A host in two segments has one list; its answers come back by number."""
    plan = compiled(tenant("a", segment("s", peer("p", host="web1")), segment("t", peer("p", host="web1"))))
    found = plan.plan["probes"]["web1"]
    assert [each["id"] for each in found] == list(range(len(found)))
    assert {each["peer"] for each in found} == {"a/s/p", "a/t/p"}
    assert {each["interface"] for each in found} == {"a-s", "a-t"}


@pytest.mark.parametrize(("expires", "count"), [("2026-06-01", 0), ("2026-06-02", 1)])
def test_a_barred_peer_neither_probes_nor_is_probed(expires: str, count: int):
    plan = compiled(
        tenant("a", segment("s", peer("w1", host="web1", expires=expires))),
        tenant("b", segment("s", peer("w2", host="web2"))),
        services=[{"name": "web", "at": "a/s/w1", "ports": ["tcp/80"]}],
    )
    assert len([host for host in plan.plan["probes"] if host == "web1"]) == count
    assert ("a/s/w1" in {each["to"] for each in plan.plan["probes"]["web2"]}) == bool(count)


def test_at_most_eight_more_ports_of_one_target():
    found = probes(*(policy(f"x{n}", ["a/s/w1"], ["c/s/db1"], f"tcp/{1000 + n}") for n in range(20)))
    assert len(tried(found["web1"], "c/s/db1")) == 3 + 8
