# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which templates may tell a vaulted value: their results stand in no message.

Ansible's own mark of a vaulted value does not outlive a filter or a larger text, so a template is judged by the names
that it uses, and by what these are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.parsing import vault
from jinja2 import Environment, TemplateError, meta

# The type of a vaulted variable, since ansible-core 2.19 and before.
Vaulted: Any = getattr(vault, "EncryptedString", None)
if Vaulted is None:
    from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

    Vaulted = AnsibleVaultEncryptedUnicode

# By way of these a template reaches any variable, under names that it makes itself.
_REACH_ANYTHING = {"hostvars", "vars", "lookup", "query", "q"}


def secret_finder(hosts: Iterable[Mapping[str, Any]]) -> Callable[[str], bool]:
    """Return a function that tells whether a template may show a vaulted variable of one of these hosts."""
    whole = list(hosts)
    environment = Environment(autoescape=False)  # noqa: S701 (parsed, never rendered)
    judged: dict[str, bool] = {}

    def holds(value: Any) -> bool:
        if isinstance(value, Vaulted):
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
            names = meta.find_undeclared_variables(environment.parse(template))
        except TemplateError:
            return True
        if names & _REACH_ANYTHING and any(holds(dict(variables)) for variables in whole):
            return True
        return any(holds(variables.get(name)) for name in names for variables in whole)

    return tells
