# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From variables to the typed declaration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .kinds import INVALID, host, list_of, uplink
from .model import Fabric, Hub, Management
from .problems import NO_VALUE, Path, Problems, did_you_mean
from .schema import options_of

PREFIX = "wireguard_"
# Lists that may also stand in pieces, wireguard_tenants__acme and so on: one customer, one file.
JOINED = ("tenants", "services", "policies", "policy_tests", "revoked")
HUB_VARIABLES = {
    "wireguard_hub_endpoint": "What clients dial: a name or an address. Default: ansible_host.",
    "wireguard_hub_uplinks": "Interfaces that lead to the internet; [] is none. Default: those of the default routes.",
}
# What steers a run and not the network; read by the playbooks and the actions.
RUN_VARIABLES = {
    "wireguard_hubs_group": "The inventory group of the hubs. Extra variable only. Default: wireguard_hubs.",
    "wireguard_peers_group": "The inventory group of the managed peers. Extra variable only. Default: wireguard_peers.",
    "wireguard_become": "Whether plays become root. Default: true.",
    "wireguard_serial": "How many hosts a play takes at a time. Default: 100%.",
    "wireguard_artifacts_dir": "A folder on the controller for JSON results. Default: none are written.",
    "wireguard_allocation_file": "The record of allocations. Default: wireguard.lock.yml beside the inventory.",
    "wireguard_allocation_record": "The record itself, where an inventory folder holds its file. Never set by hand.",
    "wireguard_allocation_frozen": "Refuse to change the record. Default: true where CI or AWX runs.",
    "wireguard_allocation_recover": "Take the record from the hubs that have one deployed.",
    "wireguard_plan_base": "A plan.json to compare with, where no hub is reachable.",
    "wireguard_query": "A JMESPath expression over what is printed.",
    "wireguard_allow_removal": "Names that this run may remove.",
    "wireguard_allow_renumber": "Names whose addresses this run may change.",
    "wireguard_accept_new_key": "Managed peers whose changed key this run accepts.",
    "wireguard_acknowledge": "Names of warnings that this run accepts.",
    "wireguard_target": "A selector: what to revoke, rotate, hand over or diagnose.",
    "wireguard_from": "A selector: where a connection begins.",
    "wireguard_to": "A selector: where it goes.",
    "wireguard_port": "Its port.",
    "wireguard_rotate": "What to rotate: psk, peer, segment or all.",
    "wireguard_max_key_age": "Rotate keys older than this.",
    "wireguard_client_configs_dir": "Where client configurations are written.",
}
_PART = re.compile(r"wireguard_(?P<base>[a-z_]+?)__(?P<id>[A-Za-z0-9_]+)\Z")


def read_fabric(variables: Mapping[str, Any], hubs: tuple[Hub, ...], problems: Problems) -> Fabric | None:
    """Read every ``wireguard_*`` variable of the first hub into a declaration.

    variables: plain values by variable name; hubs: what `read_hub` made of each hub, in inventory order.
    Returns None where a required variable is missing or wrong; the reasons are in `problems`.
    """
    options = options_of(Fabric)
    values: dict[str, Any] = {"hubs": hubs}
    complete = True
    for key, known in options.items():
        found = _pieces(variables, key)
        if not found:
            if known.required:
                problems.add(
                    (PREFIX + key,), NO_VALUE, "is not set for the first hub", f"set it in group_vars: {known.kind}"
                )
                complete = False
            continue
        for variable in found:
            value = variables[variable]
            result = value if value is INVALID else known.reader(value, (variable,), problems)
            if result is INVALID:
                complete = complete and not known.required
            elif key in JOINED:
                values[known.attribute] = values.get(known.attribute, ()) + result
            else:
                values[known.attribute] = result
    _refuse_unknown(variables, problems)
    return Fabric(**values) if complete else None


def _pieces(variables: Mapping[str, Any], key: str) -> list[str]:
    """Return the names of the variables that make up one option, the base list first."""
    base = PREFIX + key
    found = [base] if base in variables else []
    if key in JOINED:
        found += sorted(name for name in variables if name.startswith(base + "__"))
    return found


def is_ours(variable: str) -> bool:
    """Tell whether a variable belongs to the declaration of the fabric (and not to a hub or a run)."""
    return variable.startswith(PREFIX) and variable not in RUN_VARIABLES and variable not in HUB_VARIABLES


def _refuse_unknown(variables: Mapping[str, Any], problems: Problems) -> None:
    """Report every wireguard_ variable that means nothing."""
    known = [PREFIX + key for key in options_of(Fabric)]
    known_set = {*known, *HUB_VARIABLES, *RUN_VARIABLES}
    for variable in variables:
        if not variable.startswith(PREFIX) or variable in known_set or variable.startswith("wireguard_hub_"):
            continue
        part = _PART.match(variable)
        if part and part["base"] in JOINED:
            continue
        hint = did_you_mean(variable, known_set)
        problems.add(
            (variable,), NO_VALUE, f"is an unknown variable{hint}", "correct it, or give your own another prefix"
        )


def read_hub(name: str, variables: Mapping[str, Any], ansible_host: str | None, problems: Problems) -> Hub:
    """Read one hub's own variables; what is wrong with them is reported and replaced by the default."""
    path: Path = (f"hostvars[{name}]",)
    if "wireguard_hub_endpoint" in variables:
        endpoint: Any = host(variables["wireguard_hub_endpoint"], (*path, "wireguard_hub_endpoint"), problems)
    else:
        endpoint = host(ansible_host or name, (*path, "ansible_host"), problems)
    uplinks: Any = None
    if "wireguard_hub_uplinks" in variables:
        uplinks = list_of(uplink)(variables["wireguard_hub_uplinks"], (*path, "wireguard_hub_uplinks"), problems)
    for variable in variables:
        if variable.startswith("wireguard_hub_") and variable not in HUB_VARIABLES:
            hint = did_you_mean(variable, HUB_VARIABLES)
            problems.add((*path, variable), NO_VALUE, f"is an unknown variable{hint}", "correct or remove it")
    return Hub(
        path=path,
        name=name,
        endpoint=endpoint if endpoint is not INVALID else name,
        uplinks=uplinks if uplinks is not INVALID else None,
    )


def with_default_management(fabric: Fabric) -> Fabric:
    """Give a fabric without declared management an empty one: the hub's own segment always exists."""
    if fabric.management is not None:
        return fabric
    return replace(fabric, management=Management(path=("wireguard_management",)))
