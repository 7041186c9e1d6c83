# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the name of a segment's interface, as the compiler does."""

from __future__ import annotations

DOCUMENTATION = r"""
name: interface_name
short_description: Make the name of a segment's interface
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Returns the name that the interface of a segment gets where the declaration gives it none.
  - A name of more than 15 characters, which is all that the kernel takes, keeps its first 8 and gets 6 characters of
    its hash.
  - A name that was recorded or declared otherwise stays what it is. The record of allocations has the last word, and
    this filter doesn't read it.
positional: segment
options:
  _input:
    description: The name of the tenant.
    type: str
    required: true
  segment:
    description: The name of the segment.
    type: str
    required: true
  taken:
    description: Names that other interfaces have. The name that is made is none of them.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: A short name stays as it is
  ansible.builtin.debug:
    msg: "{{ 'shared' | tenantnet.wireguard.interface_name('services') }}"
  # => shared-services

- name: A long one is shortened
  ansible.builtin.debug:
    msg: "{{ 'tenant-a' | tenantnet.wireguard.interface_name('development') }}"
  # => tenant-a-nm7s36
"""

RETURN = r"""
_value:
  description: The name, at most 15 characters.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import numbers
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import (
    INVALID,
    Reader,
    list_of,
    name,
    text,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Path, Problems

_PLACE: Path = ("interface_name",)


def interface_name(tenant: Any, segment: Any = None, taken: Any = None) -> str:
    """Return the interface name of a tenant's segment.

    Raises AnsibleFilterError with everything that is wrong.
    """
    problems = Problems()
    owner = _read("tenant", tenant, name, problems)
    part = _read("segment", segment, name, problems)
    others = _read("taken", [] if taken is None else taken, list_of(text), problems)
    if problems.found:
        raise AnsibleFilterError("; ".join(problems.texts(lambda _path: None)))
    salt = 0
    while (made := numbers.interface_name(owner, part, salt)) in others:
        salt += 1
    return made


def _read(key: str, value: Any, reader: Reader[Any], problems: Problems) -> Any:
    """Read one argument."""
    place = (*_PLACE, key)
    item = plain(value, place, None, problems)
    return item if item is INVALID else reader(item, place, problems)


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"interface_name": interface_name}
