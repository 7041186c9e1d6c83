# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which templates may tell a vaulted value: their results stand in no message.

Ansible's own mark of a vaulted value does not outlive a filter or a larger text, so a template is judged by the names
that it uses, and by what these are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from ansible.parsing import vault
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import place_of
from jinja2 import Environment, TemplateError, nodes

# The type of a vaulted variable, since ansible-core 2.19 and before.
Vaulted: Any = getattr(vault, "EncryptedString", None)
if Vaulted is None:
    from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

    Vaulted = AnsibleVaultEncryptedUnicode

_VAULT_HEADER = b"$ANSIBLE_VAULT"
# By way of these a template reaches any variable, under names that it makes itself.
_REACH_ANYTHING = {"hostvars", "vars", "lookup", "query", "q"}


def secret_finder(hosts: Iterable[Mapping[str, Any]]) -> Callable[[str], bool]:
    """Return a function that tells whether a template may show a vaulted variable of one of these hosts."""
    whole = list(hosts)
    environment = Environment(autoescape=False)  # noqa: S701 (parsed, never rendered)
    judged: dict[str, bool] = {}

    def holds(value: Any) -> bool:
        if isinstance(value, Vaulted) or in_vaulted_file(value):
            return True
        if isinstance(value, str):
            return tells(value) if "{{" in value or "{%" in value else False
        if isinstance(value, Mapping):
            return any(map(holds, value.values()))
        return any(map(holds, value)) if isinstance(value, (list, tuple)) else False

    def tells(template: str) -> bool:
        if template not in judged:
            # While it is judged it does not ask itself: variables may go round in circles.
            judged[template] = False
            judged[template] = _judge(template)
        return judged[template]

    def _judge(template: str) -> bool:
        try:
            # Every name that is read, a loop's own included: rather one too many.
            names = {node.name for node in environment.parse(template).find_all(nodes.Name) if node.ctx == "load"}
        except TemplateError:
            return True
        if names & _REACH_ANYTHING and any(holds(dict(variables)) for variables in whole):
            return True
        return any(holds(variables.get(name)) for name in names for variables in whole)

    return tells


def in_vaulted_file(value: Any) -> bool:
    """Tell whether a value stands in a file that is vaulted as a whole."""
    return is_vaulted_place(place_of(value))


def is_vaulted_place(place: str | None) -> bool:
    """Tell whether a place (``file:line:column``) is in a file that is vaulted as a whole."""
    return place is not None and _is_vaulted_file(place.rsplit(":", 2)[0])


@cache
def _is_vaulted_file(path: str) -> bool:
    """Tell whether a file is vaulted, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_VAULT_HEADER)) == _VAULT_HEADER
    except OSError:
        return False
