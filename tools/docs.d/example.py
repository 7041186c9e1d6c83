# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration that the pages show: the lab's, one tenant more in a file of its own, and a hub's own variables."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import (
    Declaration,
    compile_declaration,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.record import VARIABLE
from keys import TODAY
from page import HERE, ROOT

LAB = ROOT / "inventories/lab"
MORE = HERE / "example"
# The small declaration in which mistakes are made.
SMALL = MORE / "small.yml"


def files() -> list[Path]:
    """Return the files, in the order in which they are shown."""
    lab = [LAB / "group_vars/all" / f"{name}.yml" for name in ("fabric", "tenants", "policies")]
    return [*lab, MORE / "group_vars/all/acme.yml", MORE / "host_vars/hub1.yml"]


def variables(with_more: bool = True) -> dict[str, Any]:
    """Return the fabric's variables, with or without the tenant that has a file of its own."""
    found: dict[str, Any] = {}
    for path in files()[: 4 if with_more else 3]:
        found.update(_load(path))
    return found


@functools.cache
def compiled(with_more: bool = True) -> dict[str, Any]:
    """Compile the example, with the lab's record of allocations.

    Raises ValueError where a policy test fails: what the page shows must be right.
    """
    plan = compile_declaration(_declaration(variables(with_more), _hubs(), _load_record()))
    failed = [test for test in plan["overview"]["tests"] if test["result"] != "pass"]
    if failed:
        raise ValueError(f"the example's policy tests fail: {failed}")
    return plan


def small() -> dict[str, Any]:
    """Return the small declaration in which mistakes are made."""
    return dict(_load(SMALL))


def errors(declared: Mapping[str, Any], hubs: Mapping[str, Any] | None = None) -> list[str]:
    """Return what the compiler says of a declaration that is wrong."""
    own = {name: (item or {}, None) for name, item in (hubs or {"hub1": {}}).items()}
    try:
        compile_declaration(_declaration(declared, own, None))
    except DeclarationError as error:
        return error.problems.texts(lambda _path: None)
    return []


def _declaration(declared: Mapping[str, Any], hubs: Mapping[str, Any], record: Any) -> Declaration:
    """Make the compiler's input; the managed peers are the lab's."""
    inventory = _load(LAB / "hosts.yml")["all"]["children"]
    return Declaration(declared, hubs, list(inventory["wireguard_peers"]["hosts"]), record, TODAY)


def _hubs() -> dict[str, Any]:
    """Return the hub with its own variables."""
    return {"hub1": (_load(MORE / "host_vars/hub1.yml"), None)}


def _load_record() -> Any:
    """Return the lab's record of allocations."""
    return yaml.safe_load(_load(LAB / "wireguard.lock.yml")["all"]["vars"][VARIABLE])


def _load(path: Path) -> Any:
    """Load a file of YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))
