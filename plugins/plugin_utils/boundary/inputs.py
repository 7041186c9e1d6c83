# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of a run: read from the inventory's variables, limit or not."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.secrets import (
    is_vaulted_place,
    secret_finder,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import locator, plain
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import Declaration
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import boolean as read_boolean
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import HUB_VARIABLES, PREFIX, is_ours
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import NO_VALUE, Locate, Problems
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import ROOT
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import VARIABLE as RECORD_VARIABLE

HUBS_GROUP = "wireguard_hubs"
PEERS_GROUP = "wireguard_peers"
RECORD_NAME = "wireguard.lock.yml"


@dataclass(slots=True)
class Inputs:
    """What a run compiles, before the record is read: plain data, the places, and what was wrong already."""

    variables: dict[str, Any]
    hubs: dict[str, tuple[dict[str, Any], str | None]]
    peer_hosts: list[str]
    problems: Problems
    locate: Locate
    record_path: str | None
    frozen: bool

    def declaration(self, record: Any) -> Declaration:
        """Return the compiler's input."""
        today = datetime.datetime.now(datetime.UTC).date()
        return Declaration(self.variables, self.hubs, self.peer_hosts, record, today)


def read_inputs(task_vars: Mapping[str, Any], loader: DataLoader) -> Inputs:
    """Read the declaration of the first hub and the variables of every hub.

    The groups are those of the inventory and not of the play, so that a limit never shrinks the network.
    """
    groups = task_vars["groups"]
    hub_names = [str(name) for name in groups.get(str(task_vars.get("wireguard_hubs_group", HUBS_GROUP)), ())]
    peer_hosts = [str(name) for name in groups.get(str(task_vars.get("wireguard_peers_group", PEERS_GROUP)), ())]
    problems = Problems()
    raw = {name: task_vars["hostvars"].raw_get(name) for name in hub_names}
    problems.tells_secrets = secret_finder(raw.values())
    first = raw[hub_names[0]] if hub_names else {}
    roots: dict[str, Any] = {f"hostvars[{name}]": variables for name, variables in raw.items()}
    roots.update({key: value for key, value in first.items() if str(key).startswith(PREFIX)})
    locate = locator(roots)
    problems.in_vault = lambda path: is_vaulted_place(locate(path))
    variables = _fabric_variables(first, loader, problems)
    hubs = {}
    for name in hub_names:
        template = Templar(loader=loader, variables=raw[name]).template
        own = {
            str(key): plain(value, (f"hostvars[{name}]", str(key)), template, problems)
            for key, value in raw[name].items()
            if str(key) in HUB_VARIABLES or str(key).startswith("wireguard_hub_")
        }
        address = plain(raw[name].get("ansible_host"), (f"hostvars[{name}]", "ansible_host"), template, problems)
        hubs[name] = (own, str(address) if address else None)
    for name in hub_names[1:]:
        _refuse_disagreement(hub_names[0], name, variables, _fabric_variables(raw[name], loader, Problems()), problems)
    template = Templar(loader=loader, variables=first).template
    return Inputs(
        variables=variables,
        hubs=hubs,
        peer_hosts=peer_hosts,
        problems=problems,
        locate=locate,
        record_path=_record_path(first, template, problems) if hub_names else None,
        frozen=_frozen(first, template, problems),
    )


def _fabric_variables(raw: dict[str, Any], loader: DataLoader, problems: Problems) -> dict[str, Any]:
    """Return the variables of the fabric that a hub sees, as plain data."""
    template = Templar(loader=loader, variables=raw).template
    return {
        str(key): plain(value, (str(key),), template, problems)
        for key, value in raw.items()
        if is_ours(str(key)) and not str(key).startswith("wireguard_hub_")
    }


def _refuse_disagreement(
    first: str, name: str, variables: dict[str, Any], others: dict[str, Any], problems: Problems
) -> None:
    """Report every variable of the fabric that two hubs see differently."""
    for key in sorted(variables.keys() | others.keys()):
        if variables.get(key) != others.get(key):
            problems.add(
                (key,),
                NO_VALUE,
                f"is not the same for hubs {first} and {name}",
                "declare the fabric in group_vars of all hubs; only wireguard_hub_* differs per hub",
                (f"hostvars[{name}]", key),
            )


def _record_path(raw: Mapping[str, Any], template: Any, problems: Problems) -> str | None:
    """Return where the record of allocations is."""
    path = plain(raw.get("wireguard_allocation_file"), ("wireguard_allocation_file",), template, problems)
    if path:
        return os.path.abspath(os.path.expanduser(str(path)))
    folder = raw.get("inventory_dir")
    if not folder:
        problems.add(
            ("wireguard_allocation_file",),
            NO_VALUE,
            "is not set, and the first hub's inventory is no file",
            "name the file that records allocations",
        )
        return None
    return os.path.join(str(folder), RECORD_NAME)


def _frozen(raw: Mapping[str, Any], template: Any, problems: Problems) -> bool:
    """Tell whether the record may not change in this run: by default where CI or AWX runs it."""
    if "wireguard_allocation_frozen" in raw:
        value = plain(raw["wireguard_allocation_frozen"], ("wireguard_allocation_frozen",), template, problems)
        return read_boolean(value, ("wireguard_allocation_frozen",), problems) is True
    return bool(os.environ.get("CI")) or "awx_job_id" in raw or "tower_job_id" in raw


def load_record(path: str | None, problems: Problems) -> Any:
    """Load the record's file; None where there is none."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            text = _load_yaml(file.read())["all"]["vars"][RECORD_VARIABLE]
        # Cut off behind its header it holds nothing: then it is damaged, and not absent.
        return _load_yaml(text) or {}
    except (AttributeError, KeyError, TypeError):
        # A file of another form: the compiler says so.
        return {}
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        problems.add(ROOT, NO_VALUE, f"{path} cannot be read: {_reason(error)}", "restore it from git")
        return None


def _reason(error: Exception) -> str:
    """Say in one line why a file is no YAML, with the line where YAML says so."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'is not YAML'}"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def _load_yaml(text: bytes | str) -> Any:
    """Load YAML with the C loader where there is one: ten thousand peers take a second instead of ten.

    A key that stands twice is an error: a merge that kept both sides of a conflict must not lose one in silence.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        _refuse_repeated_keys(node)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    """Raise YAMLError where a mapping has a key twice."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"{key.value!r} stands twice in one mapping (line {key.start_mark.line + 1})")
            seen.add(key.value)
            _refuse_repeated_keys(item)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item)
