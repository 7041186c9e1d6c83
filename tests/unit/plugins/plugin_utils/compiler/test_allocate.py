# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation by recorded name: who gets which number, and that nobody loses one."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import (
    SUPERNET_V6,
    TODAY,
    Compiled,
    compiled,
    key,
    messages,
    peer,
    segment,
    tenant,
)

DAY = datetime.timedelta(days=1)
NUMBERS = ("subnet", "subnet_v6", "listen_port", "interface", "table", "number")


def numbers(plan: Compiled, *names: str) -> dict[str, tuple[Any, ...]]:
    """Return each segment's numbers, or those asked for."""
    return {name: tuple(item[key] for key in names or NUMBERS) for name, item in plan.allocations.items()}


def test_the_lowest_numbers_are_given_in_the_order_of_names():
    plan = compiled(tenant("b", segment("s")), tenant("a", segment("t"), segment("s")), supernet_v6=SUPERNET_V6)
    assert numbers(plan) == {
        "management": ("10.100.0.0/24", "fd64:e5a:100::/64", 51820, "wg0", 10001, 1),
        "a/s": ("10.100.1.0/24", "fd64:e5a:100:1::/64", 51821, "a-s", 10002, 2),
        "a/t": ("10.100.2.0/24", "fd64:e5a:100:2::/64", 51822, "a-t", 10003, 3),
        "b/s": ("10.100.3.0/24", "fd64:e5a:100:3::/64", 51823, "b-s", 10004, 4),
    }


def test_declared_numbers_are_reserved_before_any_is_given():
    """The one who declares comes last by name and still has what he declares.

    Broken on purpose: free numbers made without those that are declared.
    """
    wants = {"subnet": "10.100.1.0/24", "listen_port": 51821, "table": 10002, "interface": "a-s"}
    plan = compiled(tenant("a", segment("s")), tenant("z", segment("s", **wants)))
    assert numbers(plan, "subnet", "listen_port", "table") == {
        "management": ("10.100.0.0/24", 51820, 10001),
        "a/s": ("10.100.2.0/24", 51822, 10003),
        "z/s": ("10.100.1.0/24", 51821, 10002),
    }
    assert plan.allocations["z/s"]["interface"] == "a-s"
    assert plan.allocations["a/s"]["interface"].startswith("a-s-")


def test_a_declared_address_is_reserved_before_any_is_given():
    plan = compiled(tenant("a", segment("s", peer("a"), peer("b"), peer("z", address="10.100.1.2"))))
    assert plan.addresses == {
        "a/s/a": ("10.100.1.3", None),
        "a/s/b": ("10.100.1.4", None),
        "a/s/z": ("10.100.1.2", None),
    }


def test_interface_names_that_begin_alike_stay_apart():
    """The same first 15 characters in four segments, and a fifth that declares one of the made names."""
    names = ("production-east", "production-west", "production-north", "production")
    plan = compiled(
        tenant("the-customer", *(segment(name) for name in names), segment("x", interface="the-cust-ph3hnl"))
    )
    made = [interface for (interface,) in numbers(plan, "interface").values()]
    assert len(set(made)) == len(made) == 6
    assert all(len(name) <= 15 for name in made)


GROWN = (
    tenant("a", segment("new", peer("x")), segment("prod", peer("new"), peer("p1"), peer("p2")), segment("dev")),
    tenant("0-first", segment("s", peer("p1"))),
    tenant("b", segment("prod", peer("p1"))),
)


def test_adding_moves_nobody():
    """Newcomers come before everybody by name, and in between.

    Broken on purpose: records looked up by position.
    """
    before = compiled(
        tenant("a", segment("dev"), segment("prod", peer("p1"), peer("p2"))),
        tenant("b", segment("prod", peer("p1"))),
        supernet_v6=SUPERNET_V6,
    )
    after = compiled(*GROWN, supernet_v6=SUPERNET_V6, record=before.record)
    assert numbers(after).items() >= numbers(before).items()
    assert after.addresses.items() >= before.addresses.items()
    assert after.record_changed
    again = compiled(*GROWN, supernet_v6=SUPERNET_V6, record=after.record)
    assert not again.record_changed
    assert again.plan["hubs"] == after.plan["hubs"]


def test_removing_moves_nobody_and_a_hole_is_filled_from_below():
    before = compiled(*GROWN, quarantine_days=0)
    smaller = compiled(tenant("b", segment("prod", peer("p1"))), record=before.record, quarantine_days=0)
    assert numbers(before).items() >= numbers(smaller).items()
    assert before.addresses.items() >= smaller.addresses.items()
    later = compiled(tenant("b", segment("prod", peer("p1")), segment("z")), record=smaller.record, quarantine_days=0)
    assert numbers(later)["b/z"] == ("10.100.1.0/24", None, 51821, "b-z", 10002, 2)


def test_order_moves_nobody():
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(item)}
        return [turned(each) for each in reversed(item)] if isinstance(item, list) else item

    one = compiled(*GROWN)
    two = compiled(*turned(list(GROWN)))
    assert one.plan == two.plan


def test_a_rename_moves_nothing():
    """Neither the segment's numbers nor its peers' addresses.

    Broken on purpose: `renamed_from` not looked at.
    """
    before = compiled(tenant("a", segment("old", peer("p1"), peer("p2"))), supernet_v6=SUPERNET_V6)
    renamed = compiled(
        tenant("a", segment("new", peer("p1"), peer("p2"), renamed_from="old")),
        supernet_v6=SUPERNET_V6,
        record=before.record,
    )
    assert numbers(renamed)["a/new"] == numbers(before)["a/old"]
    assert [renamed.addresses[f"a/new/{name}"] for name in ("p1", "p2")] == list(before.addresses.values())
    assert renamed.record["released"] == {}
    # The word may stay in the declaration for ever.
    settled = compiled(
        tenant("a", segment("new", peer("p1"), peer("p2"), renamed_from="old")),
        supernet_v6=SUPERNET_V6,
        record=renamed.record,
    )
    assert not settled.record_changed


def test_declaring_what_is_recorded_changes_nothing():
    before = compiled(tenant("a", segment("s", peer("p"))))
    has = before.allocations["a/s"]
    declared = {key: has[key] for key in ("subnet", "listen_port", "interface", "table")}
    after = compiled(tenant("a", segment("s", peer("p", address="10.100.1.2"), **declared)), record=before.record)
    assert not after.record_changed
    assert numbers(after) == numbers(before)


def test_two_peers_may_change_places_by_declaration():
    before = compiled(tenant("a", segment("s", peer("p"), peer("q"))))
    after = compiled(
        tenant("a", segment("s", peer("p", address="10.100.1.3"), peer("q", address="10.100.1.2"))),
        record=before.record,
    )
    assert after.addresses == {"a/s/p": ("10.100.1.3", None), "a/s/q": ("10.100.1.2", None)}


def removed_and_added(days: int, **options: Any) -> Compiled:
    """Remove a peer and a segment, and some days later add others."""
    first = compiled(tenant("a", segment("keep", peer("old"), peer("stay")), segment("old", peer("p"))), **options)
    second = compiled(tenant("a", segment("keep", peer("stay"))), record=first.record, **options)
    return compiled(
        tenant("a", segment("keep", peer("new"), peer("stay")), segment("new", peer("p"))),
        record=second.record,
        today=TODAY + days * DAY,
        **options,
    )


@pytest.mark.parametrize(
    ("days", "subnet", "address"),
    [(0, "10.100.3.0/24", "10.100.1.4"), (29, "10.100.3.0/24", "10.100.1.4"), (30, "10.100.2.0/24", "10.100.1.2")],
)
def test_a_released_address_stays_away_for_its_quarantine(days: int, subnet: str, address: str):
    """Broken on purpose: `since` compared the wrong way round."""
    plan = removed_and_added(days)
    assert plan.allocations["a/new"]["subnet"] == subnet
    assert plan.addresses["a/keep/new"][0] == address


def test_the_quarantine_can_be_turned_off():
    assert removed_and_added(0, quarantine_days=0).addresses["a/keep/new"][0] == "10.100.1.2"


def test_what_was_released_is_recorded_with_its_owner_and_day():
    first = compiled(tenant("a", segment("s", peer("p"), peer("q"))), supernet_v6=SUPERNET_V6)
    second = compiled(tenant("a", segment("s", peer("q"))), supernet_v6=SUPERNET_V6, record=first.record)
    assert second.record["released"] == {
        "10.100.1.2": {"was": "a/s/p", "since": "2026-06-01"},
        "fd64:e5a:100:1::2": {"was": "a/s/p", "since": "2026-06-01"},
    }
    third = compiled(tenant("b", segment("s")), supernet_v6=SUPERNET_V6, record=second.record, today=TODAY + DAY)
    assert third.record["released"] == {
        "10.100.1.0/24": {"was": "a/s", "since": "2026-06-02"},
        "10.100.1.2": {"was": "a/s/p", "since": "2026-06-01"},
        "10.100.1.3": {"was": "a/s/q", "since": "2026-06-02"},
        "fd64:e5a:100:1::/64": {"was": "a/s", "since": "2026-06-02"},
        "fd64:e5a:100:1::2": {"was": "a/s/p", "since": "2026-06-01"},
        "fd64:e5a:100:1::3": {"was": "a/s/q", "since": "2026-06-02"},
    }
    assert third.allocations["b/s"]["subnet"] == "10.100.2.0/24"


@pytest.mark.parametrize(
    ("whole", "without"),
    [
        (segment("s", peer("p"), peer("q")), [segment("s", peer("q"))]),
        (segment("s"), []),
        (segment("s", peer("p"), peer("q")), []),
    ],
    ids=["a peer", "a segment without peers", "a segment with peers"],
)
def test_who_comes_back_gets_his_own_again(whole: dict[str, Any], without: list[dict[str, Any]]):
    """In and out of the same name: subnet and addresses of both families are the ones of before."""
    first = compiled(tenant("a", whole, segment("t")), supernet_v6=SUPERNET_V6)
    gone = compiled(
        tenant("a", *without, segment("t")), supernet_v6=SUPERNET_V6, record=first.record, today=TODAY + DAY
    )
    back = compiled(
        tenant("a", whole, segment("t")), supernet_v6=SUPERNET_V6, record=gone.record, today=TODAY + 20 * DAY
    )
    assert back.addresses == first.addresses
    assert numbers(back, "subnet", "subnet_v6") == numbers(first, "subnet", "subnet_v6")
    assert back.record["released"] == {}


@pytest.mark.parametrize(
    ("whole", "without", "newcomers"),
    [
        (segment("s", peer("p")), [segment("s")], [segment("s", peer("p"), peer("0-new"))]),
        (segment("s"), [], [segment("s"), segment("0-new")]),
    ],
    ids=["a peer", "a segment"],
)
def test_a_newcomer_does_not_take_what_waits_for_its_owner(
    whole: dict[str, Any], without: list[dict[str, Any]], newcomers: list[dict[str, Any]]
):
    first = compiled(tenant("a", whole))
    gone = compiled(tenant("a", *without), record=first.record)
    back = compiled(tenant("a", *newcomers), record=gone.record)
    assert back.allocations["a/s"]["subnet"] == first.allocations["a/s"]["subnet"]
    assert back.addresses.items() >= first.addresses.items()


def test_a_declared_address_may_be_one_in_quarantine():
    """Whoever writes it down knows better than a rule of thumb."""
    first = compiled(tenant("a", segment("s", peer("p"))))
    second = compiled(tenant("a", segment("s")), record=first.record)
    third = compiled(tenant("a", segment("s", peer("q", address="10.100.1.2"))), record=second.record)
    assert third.addresses == {"a/s/q": ("10.100.1.2", None)}
    assert third.record["released"] == {}


def test_v6_reads_like_v4():
    plan = compiled(
        tenant("a", segment("s", peer("p", address="10.100.7.42"), peer("q"), subnet="10.100.7.0/24")),
        supernet_v6=SUPERNET_V6,
    )
    assert numbers(plan, "subnet_v6")["a/s"] == ("fd64:e5a:100:7::/64",)
    assert plan.addresses == {
        "a/s/p": ("10.100.7.42", "fd64:e5a:100:7::42"),
        "a/s/q": ("10.100.7.2", "fd64:e5a:100:7::2"),
    }


def test_v6_is_lowest_where_it_cannot_mirror():
    """Two narrow subnets of one number, a v6 subnet that is too narrow for ::42, and an address that is taken."""
    plan = compiled(
        tenant(
            "a",
            segment("s1", peer("p", address="10.100.7.42"), subnet="10.100.7.0/25", subnet_v6="fd64:e5a:100:50::/125"),
            segment("s2", subnet="10.100.7.128/26"),
            segment("s3", subnet="10.100.7.192/26"),
            segment("s4", peer("a", address_v6="fd64:e5a:100:60::2"), peer("b"), subnet_v6="fd64:e5a:100:60::/64"),
        ),
        supernet_v6=SUPERNET_V6,
    )
    assert plan.addresses["a/s1/p"] == ("10.100.7.42", "fd64:e5a:100:50::2")
    assert numbers(plan, "subnet_v6")["a/s2"] == ("fd64:e5a:100:7::/64",)
    assert numbers(plan, "subnet_v6")["a/s3"] == ("fd64:e5a:100:1::/64",)
    # a is ::2 in v6 and .2 in v4, b mirrors its .3.
    assert plan.addresses["a/s4/b"] == ("10.100.1.3", "fd64:e5a:100:60::3")


def test_v6_is_added_to_a_running_fabric_and_moves_nobody():
    before = compiled(*GROWN)
    after = compiled(*GROWN, supernet_v6=SUPERNET_V6, record=before.record)
    assert numbers(after, "subnet", "listen_port", "table") == numbers(before, "subnet", "listen_port", "table")
    assert {name: v4 for name, (v4, _v6) in after.addresses.items()} == {
        name: v4 for name, (v4, _v6) in before.addresses.items()
    }
    assert all(v6 for _v4, v6 in after.addresses.values())


def test_every_address_of_a_segment_is_given_before_it_is_full():
    """A /29 has six hosts, one of them the hub's."""
    peers = [peer(f"p{number}") for number in range(5)]
    plan = compiled(tenant("a", segment("s", *peers, subnet="10.100.1.8/29")))
    assert [v4 for v4, _v6 in plan.addresses.values()] == [f"10.100.1.{number}" for number in range(10, 15)]
    (message,) = messages(tenant("a", segment("s", *peers, peer("p9"), subnet="10.100.1.8/29")))
    assert message.startswith("wireguard_tenants[0].segments[0].peers[5]: finds no free address in 10.100.1.8/29")


def test_255_segments_fill_a_supernet():
    """Subnet 0 is management's; with the 256th segment the /16 is full."""
    names = [f"s{number:03}" for number in range(256)]
    plan = compiled(tenant("a", *map(segment, names[:255])))
    assert numbers(plan, "subnet")["a/s254"] == ("10.100.255.0/24",)
    (message,) = messages(tenant("a", *map(segment, names)))
    assert message.startswith("wireguard_tenants[0].segments[255]: finds no free /24 in 10.100.0.0/16")


def test_ports_run_out():
    """65000 is the highest base: 535 ports above it."""
    names = [f"s{number:03}" for number in range(536)]
    options = {"supernet": "10.0.0.0/8", "listen_port_base": 65000}
    plan = compiled(tenant("a", *map(segment, names[:535])), **options)
    assert numbers(plan, "listen_port")["a/s534"] == (65535,)
    (message,) = messages(tenant("a", *map(segment, names)), **options)
    assert message.startswith("wireguard_tenants[0].segments[535]: finds no free port up to 65535")


def test_what_the_record_says_in_vain_is_given_anew():
    """An address that its segment no longer holds belongs to nobody: the peer gets one of the new subnet."""
    before = compiled(tenant("a", segment("s", peer("p"))))
    after = compiled(tenant("a", segment("s", peer("p"), subnet="10.100.9.0/24")), record=before.record)
    assert after.addresses == {"a/s/p": ("10.100.9.2", None)}
    assert after.record["released"]["10.100.1.2"]["was"] == "a/s/p"


def test_a_successor_in_the_same_run_does_not_inherit():
    """One commit replaces a lost laptop by a new one; logs and clients would take it for the old one."""
    before = compiled(tenant("a", segment("s", peer("lost"))))
    after = compiled(tenant("a", segment("s", peer("new"))), record=before.record)
    assert after.addresses["a/s/new"][0] != before.addresses["a/s/lost"][0]


def test_a_successor_segment_in_the_same_run_does_not_inherit():
    before = compiled(tenant("a", segment("old")))
    after = compiled(tenant("b", segment("new")), record=before.record)
    assert after.allocations["b/new"]["subnet"] != before.allocations["a/old"]["subnet"]


def test_the_quarantine_of_a_subnet_outlives_the_move_of_its_owner():
    first = compiled(tenant("a", segment("s")))
    moved = compiled(tenant("a", segment("s", subnet="10.100.9.0/24")), record=first.record)
    assert moved.record["released"] == {"10.100.1.0/24": {"was": "a/s", "since": "2026-06-01"}}
    after = compiled(tenant("a", segment("s", subnet="10.100.9.0/24"), segment("t")), record=moved.record)
    assert after.allocations["a/t"]["subnet"] != "10.100.1.0/24"


def test_time_alone_never_changes_the_record():
    """In CI and AWX the record is frozen: a month after a removal, every run there would fail though nobody changed."""
    first = compiled(tenant("a", segment("s", peer("p"), peer("q"))))
    second = compiled(tenant("a", segment("s", peer("q"))), record=first.record)
    for days in (1, 29, 31, 1000):
        later = compiled(tenant("a", segment("s", peer("q"))), record=second.record, today=TODAY + days * DAY)
        assert not later.record_changed


@pytest.mark.parametrize("declared", [{"table": 10002}, {"interface": "a-s"}])
def test_what_is_recorded_never_gives_way_in_silence(declared: dict[str, Any]):
    """As with ports and subnets, it is an error that names both."""
    before = compiled(tenant("a", segment("s")))
    found = messages(tenant("a", segment("s")), tenant("b", segment("s", **declared)), record=before.record)
    assert any("wireguard.lock.yml.segments.a/s" in message for message in found)


def test_an_interface_that_is_recorded_twice_is_an_error():
    """Numbers, ports, tables and subnets that two branches took are reported; a name must not be an exception."""
    record = copy.deepcopy(compiled(tenant("a", segment("s"), segment("t"))).record)
    record["segments"]["a/t"]["interface"] = "a-s"
    found = messages(tenant("a", segment("s"), segment("t")), record=record)
    assert any("a-s" in message and "a/s" in message for message in found)


def test_another_base_that_is_somebodys_table_is_an_error():
    """Tables 10001 to 10003 are recorded: with the base one higher, the hub's own table would be management's."""
    before = compiled(tenant("a", segment("s1"), segment("s2")))
    found = messages(tenant("a", segment("s1"), segment("s2")), record=before.record, routing_table_base=10001)
    assert any("10001" in message and "is the hub's own table" in message for message in found)


def test_another_base_moves_nobody_and_hinders_nobody():
    """Tables 10001 to 10004 are recorded, 10003 was given back; with a lower base a newcomer finds a free one."""
    before = compiled(tenant("a", segment("s1"), segment("s2"), segment("s3")))
    fewer = compiled(tenant("a", segment("s1"), segment("s3")), record=before.record)
    after = compiled(
        tenant("a", segment("s1"), segment("s3"), segment("s4")), record=fewer.record, routing_table_base=9999
    )
    tables = numbers(after, "table")
    assert (tables["a/s1"], tables["a/s3"]) == ((10002,), (10004,))
    assert len(set(tables.values())) == 4


def test_every_overlap_with_a_recorded_subnet_is_told():
    """A record edited by hand: one wide subnet over three others."""
    names = ("s1", "s2", "s3")
    record = copy.deepcopy(compiled(tenant("a", *map(segment, names))).record)
    record["segments"]["a/s1"]["subnet"] = "10.100.0.0/20"
    found = messages(tenant("a", *map(segment, names)), record=record)
    assert all(any(name in message for message in found) for name in ("of management", "a/s2", "a/s3"))


def test_a_name_that_two_claim_to_have_had():
    before = compiled(tenant("a", segment("old")))
    found = messages(
        tenant("a", segment("s1", renamed_from="old"), segment("s2", renamed_from="old")), record=before.record
    )
    assert any("wireguard_tenants[0].segments[1].renamed_from" in message for message in found)
    assert not any("wireguard.lock.yml.segments.a/s1" in message for message in found)


def test_a_former_name_that_is_still_declared_is_an_error():
    found = messages(tenant("a", segment("s1", renamed_from="s2"), segment("s2")))
    assert any("wireguard_tenants[0].segments[0].renamed_from" in message for message in found)


def test_a_former_name_that_is_still_declared_is_one_error_with_both_parties():
    tenants = (tenant("a", segment("s1", renamed_from="s2"), segment("s2")),)
    (message,) = messages(*tenants, record=compiled(tenant("a", segment("s2"))).record)
    assert "wireguard_tenants[0].segments[1]" in message


def test_keys_of_generated_and_managed_peers_are_never_recorded():
    plan = compiled(tenant("a", segment("s", peer("p", public_key=key("alice")), peer("w", host="web1"))))
    assert key("alice") not in str(plan.record)
