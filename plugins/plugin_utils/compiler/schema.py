# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a mapping to a typed object, by what the object's class says of its own fields.

A class of the model states each key once, with `option`: its reader, its default and its description. The
same statement reads the value, refuses unknown keys, and feeds the generated documentation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field as dataclass_field
from functools import cache
from typing import Any, Protocol, TypeVar, overload

from .kinds import INVALID, Reader, _Invalid
from .problems import NO_VALUE, Path, Problems, did_you_mean, key_text

T = TypeVar("T")
D = TypeVar("D")


class Model(Protocol):
    """A class of the model: made of its options and of the path that they were read from."""

    def __init__(self, *, path: Path, **options: Any) -> None:
        """Make the object."""


M = TypeVar("M", bound=Model)


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One key: its attribute, how it is read, what it means, how its kind is documented, its default."""

    attribute: str
    reader: Reader[Any]
    doc: str
    kind: str
    required: bool
    default: Any


@overload
def option(reader: Reader[T], kind: str, doc: str) -> T: ...


@overload
def option(reader: Reader[T], kind: str, doc: str, default: D) -> T | D: ...


def option(reader: Reader[Any], kind: str, doc: str, default: Any = dataclasses.MISSING) -> Any:
    """State a key of a model class; without a default the key is required."""
    required = default is dataclasses.MISSING
    # A required key has a default only for the type checker's sake: `read_mapping` never leaves it out.
    return dataclass_field(default=None if required else default, metadata={"option": (reader, kind, doc, required)})


@cache
def options_of(model: type) -> dict[str, Option]:
    """Return a model class's keys in the order of the class; ``from`` is the attribute ``from_``."""
    options = {}
    for item in dataclasses.fields(model):
        if "option" in item.metadata:
            reader, kind, doc, required = item.metadata["option"]
            options[item.name.rstrip("_")] = Option(item.name, reader, doc, kind, required, item.default)
    return options


def read_mapping(model: type[M], value: Any, path: Path, problems: Problems) -> M | _Invalid:
    """Read a mapping into a model object.

    The object exists when everything required could be read; keys that were wrong keep their default, so
    that the checks that follow can still say more about the rest.
    """
    options = options_of(model)
    if not isinstance(value, Mapping):
        if value is None:
            problems.add(path, NO_VALUE, "is empty", f"write a mapping with {', '.join(_required(options) or options)}")
        else:
            problems.add(path, value, "is not a mapping", f"write keys and values: {', '.join(options)}")
        return INVALID
    values: dict[str, Any] = {}
    complete = True
    for key, item in value.items():
        known = options.get(key) if isinstance(key, str) else None
        if known is None:
            hint = did_you_mean(key_text(key), options)
            problems.add((*path, key_text(key)), NO_VALUE, f"is an unknown key{hint}", "correct or remove it")
            continue
        result = item if item is INVALID else known.reader(item, (*path, key), problems)
        if result is not INVALID:
            values[known.attribute] = result
        elif known.required:
            complete = False
    for key in _required(options):
        if key not in value:
            problems.add((*path, key), NO_VALUE, "is missing", f"add {key}: {options[key].kind}")
            complete = False
    return model(path=path, **values) if complete else INVALID


def _required(options: dict[str, Option]) -> list[str]:
    """Return the keys that must be there."""
    return [key for key, known in options.items() if known.required]


def mapping_of(model: type[M]) -> Reader[M]:
    """Return a reader of a mapping into a model class."""

    def read(value: Any, path: Path, problems: Problems) -> M | _Invalid:
        return read_mapping(model, value, path, problems)

    return read
