# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter interface_name: the name that the compiler makes."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.filter.interface_name import FilterModule, interface_name


@pytest.mark.parametrize(
    ("tenant", "segment", "expected"),
    [
        ("a", "b", "a-b"),
        # 15 characters stay, 16 are shortened.
        ("shared", "services", "shared-services"),
        ("shared", "services2", "shared-s-z4rsi5"),
        ("tenant-a", "development", "tenant-a-nm7s36"),
        ("t" * 32, "s" * 32, "tttttttt-cwsk5c"),
    ],
)
def test_makes_a_name(tenant, segment, expected):
    assert interface_name(tenant, segment) == expected
    assert len(expected) <= 15


def test_is_none_of_the_taken():
    first = interface_name("a", "b-c")
    assert interface_name("a-b", "c") == first
    second = interface_name("a-b", "c", [first])
    assert second != first
    assert interface_name("a-b", "c", [first, second]) not in (first, second)
    assert interface_name("a-b", "c", ["a-b"]) == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tenant-a",), "interface_name.segment: is empty, use 1 to 32 lower-case letters"),
        ((None, "production"), "interface_name.tenant: is empty"),
        (("Tenant", "production"), "interface_name.tenant: 'Tenant', is not a name"),
        (("t" * 33, "production"), "has 33 characters"),
        (("management", "production"), "interface_name.tenant: 'management', is a word with a meaning of its own"),
        ((1, "production"), "interface_name.tenant: 1, is int '1' to YAML and not a string, quote it"),
        (("tenant", "production", "wg0"), "interface_name.taken: 'wg0', is not a list"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        interface_name(*arguments)
    assert message in str(caught.value)


def test_is_named_as_its_file():
    assert FilterModule().filters() == {"interface_name": interface_name}
