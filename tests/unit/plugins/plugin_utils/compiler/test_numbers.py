# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lowest free numbers, subnets by number, and the names of interfaces."""

from __future__ import annotations

import re

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.addresses import parse_prefix
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.numbers import (
    FreeNumbers,
    free_subnets,
    host_bounds,
    interface_name,
    mirrored_host,
    subnet_at,
    subnet_number,
)
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.integers(0, 5),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=5),
    st.lists(st.one_of(st.none(), st.integers(-1, 35)), max_size=40),
)
def test_numbers_are_given_once_and_lowest_first(
    first: int, last: int, taken: list[tuple[int, int]], wishes: list[int | None]
):
    """A list of every number is the reference. None stands for take, a number for claim.

    Broken on purpose: `claim` that does not look at ranges; `take` that steps over a range's end by two.
    """
    ranges = [(low, low + more) for low, more in taken]
    left = [number for number in range(first, last + 1) if not any(low <= number <= high for low, high in ranges)]
    numbers = FreeNumbers(first, last, ranges)
    for wish in wishes:
        if wish is None:
            assert numbers.take() == (left.pop(0) if left else None)
        else:
            assert numbers.claim(wish) == (wish in left)
            left = [number for number in left if number != wish]


def test_subnets_are_counted_in_their_supernet():
    supernet = parse_prefix("10.100.0.0/16")
    assert subnet_at(supernet, 24, 254).text == "10.100.254.0/24"
    assert subnet_number(supernet, 24, parse_prefix("10.100.254.0/24")) == 254
    # A narrow subnet has the number of the one it lies in.
    assert subnet_number(supernet, 24, parse_prefix("10.100.7.128/25")) == 7
    wide = parse_prefix("fd64:e5a:100::/48")
    assert subnet_at(wide, 64, 0xFE).text == "fd64:e5a:100:fe::/64"


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], [0, 1, 2]),
        (["10.100.0.0/24"], [1, 2, 3]),
        (["10.100.0.0/22"], [4, 5, 6]),
        (["10.100.1.128/25"], [0, 2, 3]),
        (["10.101.0.0/24", "192.168.0.0/16"], [0, 1, 2]),
        (["10.100.0.0/16"], [None]),
    ],
)
def test_free_subnets_step_over_what_is_taken(taken: list[str], free: list[int | None]):
    numbers = free_subnets(parse_prefix("10.100.0.0/16"), 24, map(parse_prefix, taken))
    assert [numbers.take() for _each in free] == free


def test_a_wide_supernet_costs_no_more_than_a_small_one():
    """A supernet_v6 of /8 in subnets of /126 has 2**118 numbers; none may be listed."""
    supernet = parse_prefix("fd00::/8")
    numbers = free_subnets(supernet, 126, [parse_prefix("fd00::/9")])
    assert numbers.take() == 2**117


@pytest.mark.parametrize(
    ("subnet", "bounds"),
    [
        ("10.100.1.0/24", (2, 254)),
        ("10.100.1.0/30", (2, 2)),
        ("10.100.0.0/16", (2, 65534)),
        ("fd64::/126", (2, 3)),
        ("fd64::/64", (2, 2**64 - 1)),
    ],
)
def test_hosts_leave_room_for_the_hub_and_for_everybody(subnet: str, bounds: tuple[int, int]):
    assert host_bounds(parse_prefix(subnet)) == bounds


@pytest.mark.parametrize(("number", "reads"), [(2, "2"), (10, "10"), (99, "99"), (254, "254"), (65534, "6:5534")])
def test_mirrored_host_reads_like_the_one_it_mirrors(number: int, reads: str):
    assert parse_prefix("fd64::/64").host(mirrored_host(number)).address == f"fd64::{reads}"


@pytest.mark.parametrize(
    ("tenant", "segment", "name"),
    [
        ("a", "b", "a-b"),
        ("tenant-a", "dev", "tenant-a-dev"),
        # 15 characters are all that the kernel takes; the sixteenth costs the readable end.
        ("shared", "services", "shared-services"),
        ("shared", "services2", "shared-s-z4rsi5"),
        ("tenant-a", "production", "tenant-a-g3u7ui"),
        ("tenant-a", "development", "tenant-a-nm7s36"),
    ],
)
def test_interface_names_are_what_they_were(tenant: str, segment: str, name: str):
    """They are recorded, but a lost record must lead to the same names: a change here renames live interfaces."""
    assert interface_name(tenant, segment) == name


def test_names_with_the_same_first_15_characters_stay_apart():
    """A thousand of them, which is what 30 bits are there for.

    Broken on purpose: a name cut at 15 characters.
    """
    names = {interface_name("the-same-first-fifteen", f"segment-{number}") for number in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,14}", name) for name in names)


def test_salt_makes_another_name():
    names = {interface_name("tenant-a", "production", salt) for salt in range(10)}
    assert len(names) == 10
    assert interface_name("a", "b", 1) != "a-b"


words = st.text("ab0-_", max_size=30).map(lambda middle: f"x{middle}9")


@given(words, words)
def test_every_made_name_fits_the_kernel(tenant: str, segment: str):
    name = interface_name(tenant, segment)
    assert 1 <= len(name) <= 15
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
    assert name not in ("lo", "all", "default")
