# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocate subnets of a supernet by name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: subnets
short_description: Allocate subnets of a supernet by name
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Gives every name a subnet, the lowest that is free, in the order of the names. The list's own order decides nothing.
  - A name that O(reserved) holds keeps its subnet. Give the result of one run as O(reserved) to the next, and adding or
    removing a name moves nobody.
  - The roles record their allocations by themselves. This filter is for plays of your own.
positional: names, prefix
options:
  _input:
    description: The network to take subnets from, as V(address/length), of either family.
    type: str
    required: true
  names:
    description: Who gets a subnet, each once.
    type: list
    elements: str
    required: true
  prefix:
    description: The length of a subnet in bits.
    type: int
    required: true
  reserved:
    description: The subnets that are taken already, by name. They lie in the supernet and may have any length.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Give two tenants a subnet each, and leave the first one to management
  ansible.builtin.debug:
    msg: "{{ '10.100.0.0/16' | tenantnet.wireguard.subnets(['tenant-b', 'tenant-a'], 24, reserved=taken) }}"
  vars:
    taken: {management: 10.100.0.0/24}
  # => {"tenant-a": "10.100.1.0/24", "tenant-b": "10.100.2.0/24"}
"""

RETURN = r"""
_value:
  description: The subnet of each of O(names), by name.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.addresses import WIDTH, Prefix, overlapping
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.check import unique
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import (
    INVALID,
    Reader,
    integer,
    list_of,
    text,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import prefix as network
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.numbers import free_subnets, subnet_at
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Path, Problems

_PLACE: Path = ("subnets",)


def subnets(supernet: Any, names: Any = None, prefix: Any = None, reserved: Any = None) -> dict[str, str]:
    """Return the subnet of each name.

    Raises AnsibleFilterError with everything that is wrong.
    """
    problems = Problems()
    whole = _read("supernet", supernet, network(None), problems)
    wanted = _read("names", names, list_of(text), problems)
    family, shortest = (whole.family, whole.length) if isinstance(whole, Prefix) else (6, 0)
    length = _read("prefix", prefix, integer(shortest, WIDTH[family]), problems)
    taken = _read_reserved({} if reserved is None else reserved, whole, problems)
    if isinstance(wanted, tuple):
        named = ((name, (*_PLACE, "names", index)) for index, name in enumerate(wanted))
        unique(named, "stands twice", "name each once", problems)
    result = {} if problems.found else _allocate(whole, length, sorted(wanted), taken, problems)
    if problems.found:
        raise AnsibleFilterError("; ".join(problems.texts(lambda _path: None)))
    return result


def _read(key: str, value: Any, reader: Reader[Any], problems: Problems) -> Any:
    """Read one argument."""
    place = (*_PLACE, key)
    item = plain(value, place, None, problems)
    return item if item is INVALID else reader(item, place, problems)


def _read_reserved(reserved: Any, whole: Any, problems: Problems) -> dict[str, Prefix]:
    """Read the taken subnets; they lie in the supernet and apart from each other."""
    place = (*_PLACE, "reserved")
    value = plain(reserved, place, None, problems)
    if not isinstance(value, Mapping):
        problems.add(place, value, "is not a mapping", "write names and their subnets")
        return {}
    taken: dict[str, Prefix] = {}
    for name, item in value.items():
        block = network(None)(item, (*place, str(name)), problems)
        if not isinstance(block, Prefix) or not isinstance(whole, Prefix):
            continue
        if whole.contains(block):
            taken[str(name)] = block
        else:
            problems.add(
                (*place, str(name)), block.text, f"lies outside {whole.text}", "remove it, or widen the supernet"
            )
    holders = list(taken)
    for wide, narrow in overlapping((taken[name], number) for number, name in enumerate(holders)):
        holder, name = holders[min(wide, narrow)], holders[max(wide, narrow)]
        problems.add(
            (*place, name),
            taken[name].text,
            f"overlaps {taken[holder].text}",
            "choose another subnet for one of them",
            (*place, holder),
        )
    return taken


def _allocate(
    whole: Prefix, length: int, names: list[str], taken: Mapping[str, Prefix], problems: Problems
) -> dict[str, str]:
    """Give every name that has no subnet the lowest free one."""
    free = free_subnets(whole, length, taken.values())
    result = {}
    for name in names:
        if name in taken:
            result[name] = taken[name].text
            continue
        number = free.take()
        if number is None:
            wrong = f"finds no free /{length} in {whole.text}"
            problems.add((*_PLACE, "names"), name, wrong, "widen the supernet, or ask for smaller subnets")
            break
        result[name] = subnet_at(whole, length, number).text
    return result


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"subnets": subnets}
