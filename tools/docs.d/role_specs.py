# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specifications of the roles: their entry points, and the fabric's variables for documentation only."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.model import Fabric
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import HUB_VARIABLES, PREFIX
from keys import Key, keys_of
from page import ROOT

_WIDTH = 120
_HEAD = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# Made by tools/docs from the compiler's model. Change that, and not this file.
---
"""
# Tasks files that plays may name in tasks_from, beside main.
_ENTRY_POINTS = {"peer": {"keys": "Install what a peer needs and make its keys, which its hubs wait for"}}
_NO_OPTIONS = [
    "This role has no options of its own. It acts on the declaration of the fabric, which it finds in the variables of "
    "the first hub. See the entry point C(fabric)."
]
_FABRIC = [
    "For documentation only, no tasks file has this name. These are the variables that all roles of the collection "
    "read.",
    "They are read from the first host of the hubs' group. The compiler checks them and tells every error at once.",
    "More about them is in C(docs/declaration.md); what steers a run is in C(docs/playbooks.md).",
]


def names() -> list[str]:
    """Return the roles."""
    return sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/main.yml"))


def specification(role: str) -> str:
    """Return the text of a role's meta/argument_specs.yml."""
    about = yaml.safe_load((ROOT / f"roles/{role}/meta/main.yml").read_text(encoding="utf-8"))
    points: dict[str, Any] = {"main": _entry_point(about["galaxy_info"]["description"])}
    for name, description in _ENTRY_POINTS.get(role, {}).items():
        points[name] = _entry_point(description)
    points["fabric"] = {
        "short_description": "The variables of the fabric",
        "description": _FABRIC,
        "options": {**_options(Fabric, PREFIX), **_hub_options()},
    }
    return _HEAD + "".join(f"{line}\n" for line in _lines({"argument_specs": points}))


def _entry_point(description: str) -> dict[str, Any]:
    """Return an entry point without options."""
    return {"short_description": description, "description": _NO_OPTIONS, "options": {}}


def _options(model: type, prefix: str = "") -> dict[str, Any]:
    """Return the options of a class of the model."""
    return {f"{prefix}{key.name}": _option(key) for key in keys_of(model)}


def _option(key: Key) -> dict[str, Any]:
    """Return one option."""
    about = key.option.doc + (f" From {key.bounds}." if key.bounds else "")
    found: dict[str, Any] = {"description": about, "type": key.argument_type}
    if key.is_list:
        found["elements"] = "dict" if key.nested else "str"
    if key.option.required:
        found["required"] = True
    elif key.default is not None:
        found["default"] = key.default
    if key.choices:
        found["choices"] = key.choices
    if re.search(r"(^|_)key$", key.name):
        # A public key is no secret; Ansible would take it for one by its name.
        found["no_log"] = False
    if key.nested:
        found["options"] = _options(key.nested)
    return found


def _hub_options() -> dict[str, Any]:
    """Return the variables that each hub has of its own."""
    lists = {"wireguard_hub_uplinks"}
    return {
        name: {"description": about, "type": "list", "elements": "str"}
        if name in lists
        else {"description": about, "type": "str"}
        for name, about in HUB_VARIABLES.items()
    }


def _lines(data: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    """Write a mapping as YAML in the project's style."""
    margin = " " * indent
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield f"{margin}{key}:"
            yield from _lines(value, indent + 2)
        elif isinstance(value, list) and any(len(str(item)) > 40 for item in value):
            yield f"{margin}{key}:"
            for item in value:
                yield from _folded(f"{margin}  - ", str(item), indent + 4)
        elif isinstance(value, str):
            yield from _folded(f"{margin}{key}: ", value, indent + 2)
        else:
            yield f"{margin}{key}: {json.dumps(value)}"


def _folded(head: str, text: str, indent: int) -> Iterator[str]:
    """Write a text on one line, or folded where that is too long."""
    line = head + (text if re.fullmatch(r"[a-z]+", text) else json.dumps(text))
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"{head}>-"
    yield from textwrap.wrap(text, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
