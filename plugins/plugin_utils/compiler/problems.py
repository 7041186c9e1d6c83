# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration: collected, never raised one at a time.

A declaration is checked as a whole, so every stage adds to one `Problems` and goes on with what it
could still understand. Paths are tuples that begin with the variable's name, for example
``("wireguard_tenants", 0, "segments", 1, "subnet")``; where a path stands in a file is known only to
the boundary, which hands in a `Locate` function when the problems are printed.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
Locate = Callable[[Path], str | None]

# A value is quoted in a message up to this length, so that one bad blob cannot bury the other messages.
_VALUE_LIMIT = 80


def path_text(path: Path) -> str:
    """Write a path the way people write it: ``wireguard_tenants[0].segments[1].subnet``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            # A key may hold anything: it must neither break the line nor bury the message.
            word = part if part.isprintable() else repr(part)[1:-1]
            word = word if len(word) <= _VALUE_LIMIT else word[: _VALUE_LIMIT - 3] + "..."
            text += f".{word}" if text else word
    return text


def value_text(value: Any) -> str:
    """Quote a value for a message: one line, bounded, strings in quotes."""
    if isinstance(value, dict):
        text = "a mapping"
    elif isinstance(value, (list, tuple)):
        text = "a list"
    else:
        # str() first: a template's result may be a subclass whose repr is not that of a plain string.
        try:
            text = repr(str(value)) if isinstance(value, str) else repr(value)
            # YAML reads dates by itself: they are shown as they were written.
            text = str(value) if isinstance(value, datetime.date) else text
        except ValueError:
            # Python refuses to write an integer of more than 4,300 digits.
            text = "a huge number"
    return text if len(text) <= _VALUE_LIMIT else text[: _VALUE_LIMIT - 3] + "..."


def key_text(key: Any) -> str:
    """Write a mapping's key as a word of a path."""
    return str(key) if isinstance(key, str) else value_text(key)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` where a known word is close, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


class _NoValue:
    """Marks a problem that has no single offending value, such as a missing key."""


NO_VALUE = _NoValue()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    path: where; value: the offending value; wrong: what is wrong with it, a clause without a full stop;
    other: the path of the second party, if there is one; remedy: what to do about it.
    """

    path: Path
    value: Any
    wrong: str
    remedy: str
    other: Path | None = None

    def text(self, locate: Locate) -> str:
        """Write the problem as ``file:line:column path: value, what is wrong, with what, what to do``."""
        place = locate(self.path)
        head = f"{place} {path_text(self.path)}" if place else path_text(self.path)
        clauses = [] if isinstance(self.value, _NoValue) else [value_text(self.value)]
        clauses.append(self.wrong)
        if self.other is not None:
            other_place = locate(self.other)
            clauses.append(f"with {path_text(self.other)}" + (f" ({other_place})" if other_place else ""))
        clauses.append(self.remedy)
        return f"{head}: {', '.join(clauses)}"


@dataclass(slots=True)
class Problems:
    """The growing list of everything that is wrong.

    secret: the paths of values that were vaulted, which no message shows. templates: the text that each value came out
    of, which `tells_secrets` knows to judge where it is needed: only for a message. `in_vault` tells whether a value
    stands in a file that is vaulted as a whole.
    """

    found: list[Problem] = field(default_factory=list)
    secret: set[Path] = field(default_factory=set)
    templates: dict[Path, str] = field(default_factory=dict)
    tells_secrets: Callable[[str], bool] = lambda _template: False
    in_vault: Callable[[Path], bool] = lambda _path: False

    def add(self, path: Path, value: Any, wrong: str, remedy: str, other: Path | None = None) -> None:
        """Record one problem; see `Problem` for the parts."""
        if not isinstance(value, _NoValue) and self._is_secret(path):
            # Some reasons quote the value once more.
            wrong = f"(vaulted), {wrong.replace(str(value), '(vaulted)') if str(value) else wrong}"
            value = NO_VALUE
        self.found.append(Problem(path, value, wrong, remedy, other))

    def _is_secret(self, path: Path) -> bool:
        """Tell whether a value, or what it is a part of, was vaulted or came out of something vaulted."""
        for length in range(1, len(path) + 1):
            whole = path[:length]
            if whole in self.secret or (whole in self.templates and self.tells_secrets(self.templates[whole])):
                return True
        return self.in_vault(path)

    def touches(self, path: Path) -> bool:
        """Tell whether something is wrong at a path or below: what follows from it need not be said."""
        return any(problem.path[: len(path)] == path for problem in self.found)

    def texts(self, locate: Locate) -> list[str]:
        """Return every problem as a line, in the order of the declaration, each once."""
        ordered = sorted(self.found, key=lambda problem: [str(part).rjust(9, "0") for part in problem.path])
        return list(dict.fromkeys(problem.text(locate) for problem in ordered))


class DeclarationError(Exception):
    """The declaration cannot be compiled; carries every problem found."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(f"{len(problems.found)} problem(s) in the declaration")
        self.problems = problems
