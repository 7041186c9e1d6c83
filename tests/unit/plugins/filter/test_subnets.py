# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter subnets: lowest free first, by name, and nobody moves."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.subnets import FilterModule, subnets


@pytest.mark.parametrize(
    ("supernet", "names", "prefix", "reserved", "expected"),
    [
        ("10.0.0.0/16", ["b", "a"], 24, None, {"a": "10.0.0.0/24", "b": "10.0.1.0/24"}),
        ("10.0.0.0/16", [], 24, None, {}),
        ("10.0.0.0/16", ["a"], "24", None, {"a": "10.0.0.0/24"}),
        ("10.0.0.0/24", ["a"], 24, None, {"a": "10.0.0.0/24"}),
        ("10.0.0.4/30", ["a", "b"], 31, None, {"a": "10.0.0.4/31", "b": "10.0.0.6/31"}),
        ("fd00::/48", ["a", "b"], 64, {"c": "fd00:0:0:1::/64"}, {"a": "fd00::/64", "b": "fd00:0:0:2::/64"}),
        # A narrow one takes a whole subnet, a wide one all that it covers.
        ("10.0.0.0/16", ["a"], 24, {"x": "10.0.0.128/25"}, {"a": "10.0.1.0/24"}),
        ("10.0.0.0/16", ["a"], 24, {"x": "10.0.0.0/22"}, {"a": "10.0.4.0/24"}),
        # What is reserved under a wanted name is that name's, whatever its length.
        ("10.0.0.0/16", ["a", "b"], 24, {"b": "10.0.0.0/23"}, {"a": "10.0.2.0/24", "b": "10.0.0.0/23"}),
        # As many as there are.
        ("10.0.0.0/23", ["a", "b"], 24, {}, {"a": "10.0.0.0/24", "b": "10.0.1.0/24"}),
    ],
)  # fmt: skip
def test_allocates(supernet, names, prefix, reserved, expected):
    assert subnets(supernet, names, prefix, reserved) == expected


def test_the_order_of_the_list_decides_nothing():
    names = [f"tenant-{number}" for number in range(50)]
    expected = subnets("10.0.0.0/16", names, 24)
    for order in (sorted(names, reverse=True), names[25:] + names[:25]):
        assert subnets("10.0.0.0/16", order, 24) == expected


def test_the_result_given_back_moves_nobody():
    first = subnets("10.0.0.0/16", ["b", "d"], 24)
    second = subnets("10.0.0.0/16", ["a", "b", "c", "d"], 24, first)
    assert {name: second[name] for name in first} == first
    assert second["a"] == "10.0.2.0/24"
    # The one who left is not in the result, but its subnet is not given to somebody else yet.
    assert subnets("10.0.0.0/16", ["d", "e"], 24, first) == {"d": first["d"], "e": "10.0.2.0/24"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, ["a"], 24), "subnets.supernet: is empty, write a network as address/length"),
        (("10.0.0.1/16", ["a"], 24), "subnets.supernet: '10.0.0.1/16', has bits set beyond its length, the network is"),
        (("10.0.0.0", ["a"], 24), "subnets.supernet: '10.0.0.0', has no prefix length"),
        (("10.0.0.0/16",), "subnets.names: is empty, write a list"),
        (("10.0.0.0/16", "a", 24), "subnets.names: 'a', is not a list"),
        (("10.0.0.0/16", [False], 24), "subnets.names[0]: False, is bool 'False' to YAML and not a string, quote it"),
        (("10.0.0.0/16", ["a", "a"], 24), "subnets.names[1]: 'a', stands twice, with subnets.names[0], name each once"),
        (("10.0.0.0/16", ["a"]), "subnets.prefix: None, is not a whole number, write a whole number from 16 to 32"),
        (("10.0.0.0/16", ["a"], 15), "subnets.prefix: 15, is out of range, write a whole number from 16 to 32"),
        (("10.0.0.0/16", ["a"], 33), "subnets.prefix: 33, is out of range"),
        (("10.0.0.0/16", ["a"], 24, ["b"]), "subnets.reserved: a list, is not a mapping, write names and their"),
        (("10.0.0.0/16", ["a"], 24, {"b": "10.1.0.0/24"}), "subnets.reserved.b: '10.1.0.0/24', lies outside 10.0"),
        (("10.0.0.0/16", ["a"], 24, {"b": "10.0.0.0/8"}), "subnets.reserved.b: '10.0.0.0/8', lies outside 10.0.0.0/16"),
        (("10.0.0.0/16", ["a"], 24, {"b": "fd00::/64"}), "subnets.reserved.b: 'fd00::/64', lies outside 10.0.0.0/16"),
        (
            ("10.0.0.0/16", ["a"], 24, {"b": "10.0.0.0/24", "c": "10.0.0.0/25"}),
            "subnets.reserved.c: '10.0.0.0/25', overlaps 10.0.0.0/24, with subnets.reserved.b, choose another subnet",
        ),
        (("10.0.0.0/23", ["a", "b", "c"], 24), "subnets.names: 'c', finds no free /24 in 10.0.0.0/23, widen"),
        (("10.0.0.0/24", ["a"], 24, {"b": "10.0.0.0/30"}), "subnets.names: 'a', finds no free /24 in 10.0.0.0/24"),
    ],
)  # fmt: skip
def test_refuses(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        subnets(*arguments)
    assert message in str(caught.value)


def test_says_everything_at_once():
    with pytest.raises(AnsibleFilterError) as caught:
        subnets("10.0.0.0", "a", 24, {"b": 1})
    for place in ("subnets.supernet", "subnets.names", "subnets.reserved.b"):
        assert place in str(caught.value)


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"subnets": subnets}
