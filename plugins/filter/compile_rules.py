# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a whole declaration to what its hubs enforce."""

from __future__ import annotations

DOCUMENTATION = r"""
name: compile_rules
short_description: Compile a declaration to routing rules and a firewall
version_added: 0.1.0
author:
  - tenantnet contributors (@tenantnet)
description:
  - Compiles the declaration of a fabric, as the playbooks do, and returns what would be enforced. Nothing is written,
    and no host is asked.
  - A declaration with errors fails with every one of them, a line each.
  - A policy test that fails is a result and no error. See C(overview.tests).
  - A fabric of some size takes a second or more. Put the result in a variable of one task and don't compile in a loop.
positional: hubs, peers
options:
  _input:
    description:
      - The variables of the fabric, by their names, C(wireguard_fabric) and the others.
      - What does not begin with C(wireguard_) is left alone, so C(hostvars[NAME]) of a hub can be given as it is.
    type: dict
    required: true
  hubs:
    description:
      - The names of the hubs. Each is its own endpoint then.
      - Or a mapping from each name to the hub's own variables, of which C(wireguard_hub_*) and C(ansible_host) count.
    type: raw
    required: true
  peers:
    description: The names of the hosts that managed peers may be.
    type: list
    elements: str
    default: []
  record:
    description:
      - The record of allocations, as the text of C(wireguard.lock.yml) or loaded. Without it, and without
        C(wireguard_allocation_record) among the variables, everything is allocated anew.
    type: raw
  today:
    description: The day by which peers and policies expire, as V(2027-03-01). By default today in UTC.
    type: str
"""

EXAMPLES = r"""
- name: Show the firewall of every hub before it is deployed
  ansible.builtin.debug:
    msg: "{{ item.value.ruleset.splitlines() }}"
  loop: "{{ compiled.hubs | dict2items }}"
  loop_control:
    label: "{{ item.key }}"
  vars:
    compiled: >-
      {{ hostvars[groups['wireguard_hubs'][0]]
         | tenantnet.wireguard.compile_rules(groups['wireguard_hubs'], groups['wireguard_peers']) }}
"""

RETURN = r"""
_value:
  description: What is compiled, as plain data.
  type: dict
  contains:
    overview:
      description: Allocations, peers, reachability and the results of the policy tests, as in C(plan.json).
      type: dict
    hubs:
      description:
        - For each hub C(rules), its routing rules by family, each with priority, selector and action; C(tables), the
          names of its routing tables by number; and C(ruleset), its firewall.
        - C(ruleset) lacks what only the hub knows. There C(GEN) is defined in front of it, and the uplinks and the
          networks that the hub is connected to are added behind it.
      type: dict
    memberships:
      description:
        - What each managed peer configures, by the peer's id, as P(tenantnet.wireguard.client_config#filter) takes it.
      type: dict
    record:
      description: The text of C(wireguard.lock.yml) where it must change, else nothing.
      type: str
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import locator, plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import record as records
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import (
    Declaration,
    compile_declaration,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import date, host, list_of
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import PREFIX
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import (
    DeclarationError,
    Locate,
    Path,
    Problems,
)

_PLACE: Path = ("compile_rules",)
_Hubs = dict[str, tuple[Mapping[str, Any], str | None]]


def compile_rules(
    declaration: Any, hubs: Any = None, peers: Any = None, record: Any = None, today: Any = None
) -> dict[str, Any]:
    """Return what a declaration compiles to.

    Raises AnsibleFilterError with a line for everything that is wrong.
    """
    problems = Problems()
    variables = _variables(declaration, problems)
    if record is None:
        record = variables.get(records.VARIABLE)
    complete = Declaration(
        variables=variables,
        hubs=_read_hubs(hubs, problems),
        peer_hosts=_names("peers", [] if peers is None else peers, problems),
        record=None if record is None else _read_record(record, problems),
        today=_read_day(today, problems),
    )
    locate = locator(declaration) if isinstance(declaration, Mapping) else _nowhere
    if problems.found:
        # Arguments that are wrong would only make more errors of the same.
        raise _error(problems, locate)
    try:
        compiled = compile_declaration(complete, problems)
    except DeclarationError as error:
        # The problems are the whole story: their count would only be said a second time.
        raise _error(error.problems, locate) from None
    return {
        "overview": compiled["overview"],
        "hubs": {
            name: {"rules": hub["routing"]["rules"], "tables": hub["routing"]["tables"], "ruleset": hub["firewall"]}
            for name, hub in compiled["hubs"].items()
        },
        "memberships": {
            membership["peer"]: membership for peer in compiled["peers"].values() for membership in peer["memberships"]
        },
        "record": compiled["record"],
    }


def _nowhere(_path: Path) -> None:
    """Know no place of any value."""


def _error(problems: Problems, locate: Locate) -> AnsibleFilterError:
    """Make the error of everything that is wrong."""
    lines = problems.texts(locate)
    count = f"{len(lines)} error{'s' if len(lines) != 1 else ''}"
    return AnsibleFilterError("\n".join([f"compile_rules: {count}:", *lines]))


def _variables(declaration: Any, problems: Problems) -> dict[str, Any]:
    """Take the fabric's variables; what they cost is what they hold, whatever else the mapping has."""
    if not isinstance(declaration, Mapping):
        place: Path = (*_PLACE, "declaration")
        value = plain(declaration, place, None, problems)
        problems.add(place, value, "is not a mapping", "give the wireguard_* variables by their names")
        return {}
    ours = [str(key) for key in declaration if str(key).startswith(PREFIX)]
    return {key: plain(declaration[key], (key,), None, problems) for key in ours}


def _names(key: str, value: Any, problems: Problems) -> tuple[str, ...]:
    """Read a list of hosts."""
    place: Path = (*_PLACE, key)
    names = list_of(host)(plain(value, place, None, problems), place, problems)
    return names if isinstance(names, tuple) else ()


def _read_hubs(value: Any, problems: Problems) -> _Hubs:
    """Read the hubs: names, or names with their own variables."""
    if not isinstance(value, Mapping):
        return {name: ({}, None) for name in _names("hubs", value, problems)}
    hubs: _Hubs = {}
    for name in _names("hubs", list(value), problems):
        place: Path = (*_PLACE, "hubs", name)
        variables = value[name]
        if not isinstance(variables, Mapping):
            problems.add(place, variables, "is not a mapping", "give the hub's own variables, or hubs as a list")
            continue
        ours = [str(key) for key in variables if str(key).startswith(f"{PREFIX}hub_")]
        own = {key: plain(variables[key], (*place, key), None, problems) for key in ours}
        address = plain(variables.get("ansible_host"), (*place, "ansible_host"), None, problems)
        hubs[name] = (own, str(address) if address else None)
    return hubs


def _read_record(value: Any, problems: Problems) -> Any:
    """Read the record: loaded, or the text of its file or of the variable in that file."""
    place: Path = (*_PLACE, "record")
    data = plain(value, place, None, problems)
    try:
        if isinstance(data, str):
            data = _load(data)
        if isinstance(data, Mapping) and "all" in data:
            data = _load(data["all"]["vars"][records.VARIABLE])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        data = None
    # No record is one thing, and a record that says nothing another: the compiler refuses the second.
    return {} if data is None else data


def _load(text: str) -> Any:
    """Load YAML with the C loader where there is one, which takes a tenth of the time."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _read_day(value: Any, problems: Problems) -> datetime.date:
    """Read the day that is to be today."""
    today = datetime.datetime.now(datetime.UTC).date()
    if value is None:
        return today
    place: Path = (*_PLACE, "today")
    day = date(plain(value, place, None, problems), place, problems)
    return day if isinstance(day, datetime.date) else today


class FilterModule:
    """Names the filter for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"compile_rules": compile_rules}
