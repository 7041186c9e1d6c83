# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler's model says of each key: its kind, its bounds, its default, and what is nested in it."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.model import Fabric
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import Problems
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.schema import Option, options_of
from page import ROOT

# A date that no example has passed, so that a page never changes by itself.
TODAY = datetime.date(2026, 12, 1)


@dataclasses.dataclass(frozen=True)
class Key:
    """One key as it is documented. form: what its reader asks for; nested: the class of what it holds."""

    name: str
    option: Option
    argument_type: str
    form: str
    nested: type | None

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return self.argument_type == "list"

    @property
    def bounds(self) -> str:
        """The bounds of a number, as ``1 to 65535``."""
        found = re.search(r"whole number from (\d+) to (\d+)", self.form)
        return f"{found[1]} to {found[2]}" if found else ""

    @property
    def choices(self) -> list[str]:
        """The words that are possible, where only some are."""
        found = re.fullmatch(r"is one of (.+)|write (\w+) or (\w+)", self.form)
        if not found or self.argument_type == "bool":
            return []
        return found[1].split(", ") if found[1] else [found[2], found[3]]

    @property
    def default(self) -> Any:
        """The default as it would be declared; None where there is none."""
        value = self.option.default
        if value == ():
            return []
        if value == "":
            return self.choices[0] if self.choices else None
        return value


def keys_of(model: type) -> list[Key]:
    """Return the keys of a class of the model, in its order."""
    hints = get_type_hints(model)
    return [_key(name, option, hints[option.attribute]) for name, option in options_of(model).items()]


def _key(name: str, option: Option, hint: Any) -> Key:
    """Find out about one key."""
    hint = _without_none(hint)
    is_list = get_origin(hint) is tuple
    item = get_args(hint)[0] if is_list else hint
    # Ports are dataclasses too, but users write them as text.
    nested = item if isinstance(item, type) and dataclasses.is_dataclass(item) and options_of(item) else None
    plain = "dict" if nested else {bool: "bool", int: "int"}.get(item, "str")
    return Key(name, option, "list" if is_list else plain, _form(option, is_list), nested)


def _without_none(hint: Any) -> Any:
    """Take ``X`` out of ``X | None``."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def _form(option: Option, is_list: bool) -> str:
    """Ask a reader what it wants, by giving it what nothing can be."""
    problems = Problems()
    option.reader([object()] if is_list else object(), (), problems)
    problem = problems.found[0]
    return problem.wrong.replace("is not", "is", 1) if problem.remedy == "use one of these" else problem.remedy


@functools.cache
def sources() -> str:
    """Return the code that could act on a key: all plugins but the model itself."""
    files = [*ROOT.glob("plugins/plugin_utils/**/*.py"), *ROOT.glob("plugins/action/*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(files) if path.name != "model.py")


def is_acted_on(key: Key) -> bool:
    """Tell whether any code looks at a key. One that nothing looks at is read and has no effect yet."""
    return bool(re.search(rf"\.{key.option.attribute}\b|\"{key.option.attribute}\"", sources()))


def classes() -> dict[str, type]:
    """Return every class of the model that has keys, the whole declaration first, by the variable or key it is in."""
    found: dict[str, type] = {"wireguard": Fabric}
    waiting: list[type] = [Fabric]
    while waiting:
        for key in keys_of(waiting.pop(0)):
            if key.nested is not None and key.nested not in found.values():
                found[key.name] = key.nested
                waiting.append(key.nested)
    return found
