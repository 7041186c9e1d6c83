# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what a run of the tests came to, from its JUnit file: a table, and the count as the last line."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(path: Path) -> int:
    """Print the table; non-zero when a test failed or none ran."""
    rows = []
    if path.exists():
        for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 (made by pytest here)
            words = {child.tag for child in case}
            verdict = "FAIL" if words & {"failure", "error"} else "skip" if "skipped" in words else "ok"
            module = case.get("classname", "").rpartition(".")[2]
            rows.append((verdict, float(case.get("time", 0)), module, case.get("name", "")))
    print(f"\n{'':4} {'time':>7}  test")
    for verdict, seconds, module, name in rows:
        print(f"{verdict:4} {seconds:>5.0f} s  {module}: {name}")
    passed = sum(row[0] == "ok" for row in rows)
    # A skipped test has proven nothing.
    failed = len(rows) - passed
    print(f"{passed} passed, {failed or (0 if rows else 1)} failed")
    return 0 if rows and not failed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
