# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read of a plan: the overview, what differs between two, and what may not happen unasked."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.guards import change_lines, refused
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.overview import changes
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.text import table
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    compiled,
    key,
    peer,
    policy,
    segment,
    tenant,
)

FIVE = [peer(f"p{number}") for number in range(5)]


def overview(*tenants: dict[str, Any], **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = compiled(*tenants, **options).plan["overview"]
    return found


BEFORE = compiled(tenant("a", segment("s", *FIVE), segment("t", peer("p"))), tenant("b", segment("s", *FIVE)))


def after(*tenants: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Return what would change from BEFORE, with its record."""
    return changes(BEFORE.plan["overview"], overview(*tenants, record=BEFORE.record, **options))


def test_nothing_changes_nothing():
    same = (tenant("a", segment("s", *FIVE), segment("t", peer("p"))), tenant("b", segment("s", *FIVE)))
    assert after(*same) == []


def test_from_nothing_everything_is_added():
    found = changes({}, BEFORE.plan["overview"])
    assert {item["change"] for item in found} == {"added"}
    assert [item["name"] for item in found if item["kind"] == "segment"] == ["a/s", "a/t", "b/s", "management"]
    assert len([item for item in found if item["kind"] == "peer"]) == 11


def test_what_differs_is_said_key_by_key():
    found = after(
        tenant("a", segment("s", *FIVE), segment("t", peer("p", public_key=key("alice")), listen_port=4000)),
        tenant("b", segment("s", *FIVE)),
        policies=[policy("x", ["a/t"], ["b/s/p0"], "tcp/1", "icmp")],
    )
    assert change_lines(found) == [
        "~ segment a/t: listen_port 51822 -> 4000",
        f"~ peer a/t/p: kind generated -> external, public_key None -> {key('alice')}",
        "+ reachability a/t -> b/s/p0 by x",
    ]


def test_changed_ports_of_a_policy_are_a_change():
    one = overview(tenant("a", segment("s")), policies=[policy("x", ["a"], ["hub"], "tcp/1")])
    two = overview(tenant("a", segment("s")), policies=[policy("x", ["a"], ["hub"], "tcp/1", "tcp/2")])
    assert change_lines(changes(one, two)) == ["~ reachability a/s -> hub by x: ports ['tcp/1'] -> ['tcp/1', 'tcp/2']"]
    assert refused(changes(one, two), [], [], {}) == []


@pytest.mark.invariant(8)
def test_a_new_segment_with_the_number_of_an_old_one_is_no_rename():
    """Broken on purpose: a number taken for proof."""
    old = overview(tenant("a", segment("s"), segment("t", *FIVE)))
    new = copy.deepcopy(overview(tenant("a", segment("s"), segment("u", *FIVE))))
    numbers = [[item["number"] for item in each["allocations"]] for each in (old, new)]
    assert numbers[0] == numbers[1]
    found = changes(old, new)
    assert refused(found, [], [], new["renamed"])[0] == "segment a/t would be removed"
    assert refused(found, [], [], {"a/t": "a/u"}) == []
    # A declared rename that is not this change: another number.
    next(item for item in new["allocations"] if item["id"] == "a/u")["number"] += 10
    assert refused(changes(old, new), [], [], {"a/t": "a/u"})


def test_a_declared_rename_removes_nothing():
    before = compiled(tenant("a", segment("old", *FIVE)))
    new = overview(tenant("a", segment("new", *FIVE, renamed_from="old")), record=before.record)
    assert new["renamed"] == {"a/old": "a/new"}
    assert refused(changes(before.plan["overview"], new), [], [], new["renamed"]) == []


@pytest.mark.invariant(8)
def test_whole_segments_do_not_go_unasked():
    """Broken on purpose: only tenants asked for; every part of a name taken for permission."""
    found = after(tenant("a", segment("s", *FIVE)), tenant("b", segment("s", *FIVE)))
    assert refused(found, [], [], {})[0] == "segment a/t would be removed"
    assert refused(found, ["a/s"], [], {})
    assert refused(found, ["t"], [], {})
    assert refused(found, ["a/t/p"], [], {})
    assert refused(found, ["a/tt"], [], {})
    assert refused(found, ["a/t"], [], {}) == []
    assert refused(found, ["a"], [], {}) == []


@pytest.mark.parametrize(("left", "refuses"), [(2, False), (1, True)])
def test_a_few_peers_may_go(left: int, refuses: bool):
    """Three are a day's work, four a slip of the hand."""
    found = after(tenant("a", segment("s", *FIVE[:left]), segment("t", peer("p"))), tenant("b", segment("s", *FIVE)))
    lines = refused(found, [], [], {})
    assert bool(lines) == refuses
    if refuses:
        assert lines[:4] == [f"peer a/s/p{number} would be removed" for number in range(1, 5)]
        assert "wireguard_allow_removal" in lines[-1]
        assert refused(found, ["a/s/p1"], [], {}) == []
        assert refused(found, ["b"], [], {})
        assert refused(found, ["a/s"], [], {}) == []


def test_peers_of_different_segments_are_counted_together():
    found = after(tenant("a", segment("s", *FIVE[:3]), segment("t", peer("p"))), tenant("b", segment("s", *FIVE[:3])))
    assert len(refused(found, [], [], {})) == 5


def test_peers_of_a_segment_that_may_go_are_not_counted():
    found = after(tenant("a", segment("s", *FIVE), segment("t", peer("p"))))
    assert refused(found, [], [], {})[:-1] == ["segment b/s would be removed"]
    assert refused(found, ["b"], [], {}) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"listen_port": 4000}, "listen_port 51822 -> 4000"),
        ({"interface": "other"}, "interface a-t -> other"),
        ({"table": 999}, "table 10003 -> 999"),
    ],
)
def test_nobodys_numbers_change_unasked(options: dict[str, Any], told: str):
    found = after(
        tenant("a", segment("s", *FIVE), segment("t", peer("p"), **options)), tenant("b", segment("s", *FIVE))
    )
    first, last = refused(found, [], [], {})
    assert first == f"segment a/t would be renumbered: {told}"
    assert "wireguard_allow_renumber" in last
    assert refused(found, ["a/t"], [], {})
    assert refused(found, [], ["a/t"], {}) == []
    assert refused(found, [], ["a"], {}) == []
    assert refused(found, [], ["b", "a/s"], {})


def test_a_peers_address_does_not_change_unasked():
    found = after(
        tenant("a", segment("s", *FIVE), segment("t", peer("p", address="10.100.2.9"))),
        tenant("b", segment("s", *FIVE)),
    )
    assert refused(found, [], [], {})[0] == "peer a/t/p would be renumbered: address 10.100.2.2 -> 10.100.2.9"
    assert refused(found, [], ["a/t/p"], {}) == []


def test_getting_an_address_of_the_other_family_interrupts_nobody():
    found = after(
        tenant("a", segment("s", *FIVE), segment("t", peer("p"))),
        tenant("b", segment("s", *FIVE)),
        supernet_v6=SUPERNET_V6,
    )
    assert found
    assert refused(found, [], [], {}) == []


def test_losing_one_does():
    both = compiled(tenant("a", segment("s", peer("p"))), supernet_v6=SUPERNET_V6)
    found = changes(both.plan["overview"], overview(tenant("a", segment("s", peer("p"))), record=both.record))
    lines = refused(found, [], [], {})
    assert "peer a/s/p would be renumbered: address_v6 fd64:e5a:100:1::2 -> None" in lines


def test_policies_come_and_go_as_they_please():
    one = overview(tenant("a", segment("s")), policies=[policy(f"x{n}", ["a"], ["hub"], "icmp") for n in range(9)])
    two = overview(tenant("a", segment("s")))
    assert len(changes(one, two)) == 9
    assert refused(changes(one, two), [], [], {}) == []


def test_reachability_has_one_entry_for_each_pair_and_policy():
    plan = overview(
        tenant("a", segment("s", peer("p")), segment("t", peer("q"), peer_isolation=True)),
        policies=[policy("x", ["a/s"], ["a/t/q"], "udp/53", "tcp/22", "tcp/80")],
    )
    assert plan["reachability"] == [
        {"from": "a/s", "to": "a/s", "ports": ["all"], "policy": "peer_isolation: false"},
        {"from": "a/s", "to": "a/t/q", "ports": ["tcp/22", "tcp/80", "udp/53"], "policy": "x"},
        {"from": "management", "to": "management", "ports": ["all"], "policy": "peer_isolation: false"},
    ]


def test_a_table_is_aligned_and_shows_nothing_as_a_dash():
    assert table(("name", "n"), [["a", 1], ["long-name", None]]) == [
        "name       n",
        "---------  -",
        "a          1",
        "long-name  -",
    ]
