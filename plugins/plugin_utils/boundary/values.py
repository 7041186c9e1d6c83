# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw variables in, plain data out: templated where needed, with the place of every value kept.

Templating a whole variable costs as much as parsing it and stops at the first undefined name; walking the
raw values and templating only strings that hold a template costs a tenth and reports every one with its
path. Ansible's lazy and tagged containers end here: the compiler sees plain Python.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.kinds import INVALID
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import NO_VALUE, Path, Problems

try:
    # Since ansible-core 2.19 tags tell a value's place, and what came out of a vault (also by way of a template). The
    # classes are private, so their absence is not an error.
    from ansible._internal._datatag._tags import Origin, VaultedValue
except ImportError:
    origin_of: Callable[[Any], Any] | None = None
    vaulted_by: Callable[[Any], Any] | None = None
else:
    origin_of = Origin.get_tag
    vaulted_by = VaultedValue.get_tag

Template = Callable[[Any], Any]
_TEMPLATE_MARKS = ("{{", "{%", "{#")


def plain(value: Any, path: Path, template: Template | None, problems: Problems) -> Any:
    """Return a value as plain data.

    template: evaluates a string that holds a template, or None where values are data already. A template
    that fails is reported with its path and becomes `INVALID`.
    """
    # The order is by frequency: ten thousand peers are mostly strings in mappings.
    if isinstance(value, str):
        if template is not None and any(mark in value for mark in _TEMPLATE_MARKS):
            return _templated(value, path, template, problems)
        return str(value)
    if isinstance(value, Mapping):
        return {_plain_key(key): plain(item, (*path, _part(key)), template, problems) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, (*path, index), template, problems) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime.datetime):
        return datetime.datetime.combine(value.date(), value.time(), value.tzinfo)
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    try:
        # A vaulted value decrypts when it becomes text; joining makes the text plain.
        problems.secret.add(path)
        return "".join(str(value))
    except AnsibleError as error:
        problems.add(path, NO_VALUE, f"cannot be decrypted: {_first_line(error)}", "give the vault's password")
        return INVALID


def _plain_key(key: Any) -> Any:
    """Return a mapping's key as plain data: YAML allows numbers and dates, too."""
    if isinstance(key, str):
        return str(key)
    return int(key) if isinstance(key, int) and not isinstance(key, bool) else key


def _part(key: Any) -> str | int:
    """Write a key as part of a path."""
    return str(key)


def _templated(value: str, path: Path, template: Template, problems: Problems) -> Any:
    """Evaluate a template; what comes out is data and never a template again."""
    try:
        result = template(value)
        problems.templates[path] = str(value)
        if vaulted_by is not None and vaulted_by(result) is not None:
            problems.secret.add(path)
        return plain(result, path, None, problems)
    except (AnsibleError, TypeError, ValueError) as error:
        # A filter that refuses a value likes to quote it.
        secret = problems.tells_secrets(str(value))
        reason = "it uses a vaulted value, and the reason may quote it" if secret else _first_line(error)
        problems.templates.pop(path, None)
        problems.add(path, str(value), f"cannot be templated: {reason}", "define what it names, or write the value")
        return INVALID


def _first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def locator(roots: Mapping[str, Any]) -> Callable[[Path], str | None]:
    """Return a function that finds where a path stands, as ``file:line:column``.

    roots: raw values by the first part of a path. The place of a value, else of its key, else of what
    holds it.
    """

    def locate(path: Path) -> str | None:
        here: Any = roots
        place: str | None = None
        for part in path:
            if isinstance(here, Mapping):
                key = next((key for key in here if key == part), None)
                place = place_of(key) or place
                here = here.get(key) if key is not None else None
            elif isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                break
            place = place_of(here) or place
        return place

    return locate


def place_of(value: Any) -> str | None:
    """Return where a value stands in a file, if Ansible knows."""
    position = getattr(value, "ansible_pos", None)
    if position and position[0]:
        return f"{position[0]}:{position[1]}:{position[2]}"
    tag = origin_of(value) if origin_of is not None and value is not None else None
    if tag is not None and tag.path:
        return f"{tag.path}:{tag.line_num or 1}:{tag.col_num or 1}"
    return None
