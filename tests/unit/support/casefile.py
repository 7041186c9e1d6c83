# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases in files: input in sections, and after `=== expected` exactly what must be said about it.

They are text and not YAML to every linter, because what stands in them is wrong on purpose. To write the expected
part anew after a deliberate change of a message: TENANTNET_REGENERATE=1 .venv/bin/python -m pytest tests/unit, and
read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

EXPECTED = "expected"
REGENERATE = bool(os.environ.get("TENANTNET_REGENERATE"))
HOW = "(where this change is meant, write it anew with TENANTNET_REGENERATE=1 and read the difference)"
_SECTION = re.compile(r"^=== (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One file: what it is about, and its sections in their order."""

    path: Path
    about: str
    sections: dict[str, str]

    @property
    def expected(self) -> list[str]:
        return self.sections.get(EXPECTED, "").splitlines()

    def check(self, found: list[str]) -> None:
        """Compare what was said with what is expected, or write it down as expected."""
        if REGENERATE:
            whole = self.path.read_text(encoding="utf-8")
            head = whole.split(f"=== {EXPECTED}\n")[0]
            self.path.write_text(f"{head}=== {EXPECTED}\n" + "".join(f"{line}\n" for line in found), encoding="utf-8")
            return
        assert found == self.expected, HOW


def read_case(path: Path) -> Case:
    head, *parts = _SECTION.split(path.read_text(encoding="utf-8"))
    about = [line.removeprefix("# ") for line in head.splitlines() if "SPDX" not in line]
    return Case(path, " ".join(about), dict(zip(parts[::2], parts[1::2], strict=True)))


def read_cases(folder: Path) -> list[Case]:
    """Read every case of a folder, sorted by name."""
    return [read_case(path) for path in sorted(folder.glob("*.txt"))]
