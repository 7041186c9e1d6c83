# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real inventories, read by Ansible itself: what the boundary gets from it in a run."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing import vault
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.inputs import (
    Inputs,
    load_record,
    read_inputs,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import (
    Declaration,
    compile_declaration,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError
from ansible_collections.tenantnet.wireguard.tests.unit.support.declare import TODAY

HOSTS = """\
all:
  children:
    wireguard_hubs:
      hosts:
        hub1: {ansible_host: 192.0.2.1}
    wireguard_peers:
      hosts: {web1: {}, web2: {}, db1: {}}
"""
FABRIC = "wireguard_fabric: fab\nwireguard_supernet: 10.100.0.0/16\n"
PASSWORD = vault.VaultSecret(b"a password of the tests")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write an inventory; what is not given is that of one hub and a small fabric."""
    for name, text in {"hosts.yml": HOSTS, "group_vars/all/fabric.yml": FABRIC, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def vault_secrets(secrets: list[tuple[str, vault.VaultSecret]]) -> Iterator[None]:
    """Let Ansible know passwords as `ansible-playbook` does: since 2.19 once a process, so here it is taken back."""
    context = getattr(vault, "VaultSecretsContext", None)
    before = context and context.current(optional=True)
    if context is not None:
        context._current = context(secrets)
    try:
        yield
    finally:
        if context is not None:
            context._current = before


def read(folder: Path, *, password: bool = False, extra: Mapping[str, Any] | None = None) -> Inputs:
    """Let Ansible load an inventory, and the boundary read what it made of it."""
    secrets = [("default", PASSWORD)] if password else []
    with vault_secrets(secrets):
        return _read(folder, secrets, extra or {})


def _read(folder: Path, secrets: list[tuple[str, vault.VaultSecret]], extra: Mapping[str, Any]) -> Inputs:
    loader = DataLoader()
    loader.set_vault_secrets(secrets)
    inventory = InventoryManager(loader=loader, sources=[str(folder / "hosts.yml")])
    manager = VariableManager(loader=loader, inventory=inventory)
    task_vars = {
        "groups": inventory.get_groups_dict(),
        "hostvars": HostVars(inventory, manager, loader),
        **extra,
    }
    return read_inputs(task_vars, loader)


def encrypted(text: str, indent: int) -> str:
    """Encrypt text as a vaulted value of YAML, indented below its key."""
    lines = vault.VaultLib([("default", PASSWORD)]).encrypt(text, PASSWORD).decode().splitlines()
    return "!vault |\n" + "".join(f"{' ' * indent}{line}\n" for line in lines)


def declaration(inputs: Inputs, today: datetime.date = TODAY) -> Declaration:
    """Return the compiler's input, with the record that lies there."""
    record = load_record(inputs.record_path, inputs.problems)
    return Declaration(inputs.variables, inputs.hubs, inputs.peer_hosts, record, today)


def messages(inputs: Inputs, folder: Path) -> list[str]:
    """Compile and return the messages as a user reads them, with places that do not depend on the test's folder."""
    try:
        compile_declaration(declaration(inputs), inputs.problems)
    except DeclarationError as error:
        return [text.replace(f"{folder}/", "") for text in error.problems.texts(inputs.locate)]
    return []
