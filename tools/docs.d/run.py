# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the documentation that follows from the code, or check that what is committed is what would be written."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
from functools import partial

import declaration_page
import playbook_page
import role_specs
from page import ROOT

# Lines of a difference that are shown: enough to see what it is about.
_DIFF_LIMIT = 20


def main() -> int:
    """Make every page, and write it or compare it."""
    parser = argparse.ArgumentParser(prog="tools/docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where something would change")
    check: bool = parser.parse_args().check
    stale = 0
    for name, make in pages().items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        after = make()
        if before == after:
            continue
        stale += 1
        if check:
            print(f"{name} is out of date: run tools/docs and commit it")
            lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "committed", "generated", lineterm="")
            print("\n".join(f"  {line}" for line in list(lines)[:_DIFF_LIMIT]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(after, encoding="utf-8")
            print(f"{name} written")
    if not stale:
        print("the documentation is what the code says")
    return 1 if check and stale else 0


def pages() -> dict[str, Callable[[], str]]:
    """Return what makes each file, by its name in the checkout."""
    made: dict[str, Callable[[], str]] = {
        "docs/declaration.md": declaration_page.page,
        "docs/playbooks.md": playbook_page.page,
    }
    for role in role_specs.names():
        made[f"roles/{role}/meta/argument_specs.yml"] = partial(role_specs.specification, role)
    return made


if __name__ == "__main__":
    sys.exit(main())
