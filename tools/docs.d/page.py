# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages made of prose, which stands beside this file, and of parts that follow from the code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_PLACE = re.compile(r"<!-- ?([a-z-]+) ?-->")


def fill(name: str, parts: Mapping[str, str]) -> str:
    """Put the parts in their places in the prose ``name``; every part has one, and every place a part."""
    prose = (HERE / name).read_text(encoding="utf-8")
    places = _PLACE.findall(prose)
    if sorted(places) != sorted(parts):
        raise ValueError(f"{name}: has places {sorted(places)}, and there are parts {sorted(parts)}")
    notice = f"<!-- Made by tools/docs from the code and from tools/docs.d/{name}. Change those, and not this file. -->"
    return f"{notice}\n{_PLACE.sub(lambda match: parts[match[1]].strip(), prose)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def code(text: str, language: str = "text") -> str:
    """Write a block of code."""
    return f"```{language}\n{text.strip()}\n```"
