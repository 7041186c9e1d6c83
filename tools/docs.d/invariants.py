# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/invariants.md: what each invariant was attacked with, and what came of it, from the results of the tests.

    tools/invariants           write the page from the results of all suites
    tools/invariants --check   only see to it that the page and the tests name each other

A test says which invariants it attacks by its mark (tests/proof.py); how, and what it was seen red with, stands in
its docstring. The suites leave their results in .cache/results: `make test` and `make test-kernel`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import yaml
from page import ROOT

PAGE = ROOT / "docs/invariants.md"
RESULTS = ROOT / ".cache/results"
# Where marked tests are, by the suite that runs them and names its file of results.
SUITES = {
    "units": ("tests/unit", "on paper"),
    "default": ("molecule/default/tests", "lab"),
    "isolation": ("molecule/isolation/tests", "lab"),
    "declarations": ("molecule/declarations/tests", "lab"),
    "interruptions": ("molecule/interruptions/tests", "lab"),
    "releases": ("molecule/releases/tests", "Debian 11 to 13"),
    "kernel": ("kernel/tests", "real kernel"),
}
HEAD = """\
# The invariants, and how they were attacked

What the collection promises, and the tests that try to break it. This page is made by `make invariants` from the
results of the last `make test` and `make test-kernel`, and not by hand. *On paper* is a hub that carries packets by
its plan alone; *lab* is systemd hosts in containers, real packets and the machine's kernel, with wireguard-go where
that has no WireGuard; *real kernel* is User-Mode Linux with the kernel's own WireGuard, reboots and power cuts. Every
test was seen red once, with the thing broken that its last column names.
"""


@dataclass(frozen=True)
class Test:
    """A marked test, as its source says."""

    suite: str
    file: str
    name: str
    invariants: tuple[int, ...]
    about: str
    red: str


def tests() -> Iterator[Test]:
    """Find the marked tests in the source."""
    for suite, (folder, _where) in SUITES.items():
        for path in sorted((ROOT / folder).rglob("test_*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            whole = _numbers(
                node.value
                for node in tree.body
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "pytestmark"
            )
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    numbers = _numbers(node.decorator_list) or whole
                    if numbers:
                        about, red = _described(node)
                        yield Test(suite, path.relative_to(ROOT).as_posix(), node.name, numbers, about, red)


def _numbers(nodes: Iterator[ast.expr] | list[ast.expr]) -> tuple[int, ...]:
    """Return the arguments of a mark among decorators."""
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.invariant":
            return tuple(int(ast.literal_eval(argument)) for argument in node.args)
    return ()


def _described(node: ast.FunctionDef) -> tuple[str, str]:
    """Return what a test does and what it was seen red with: the parts of its docstring."""
    text = " ".join((ast.get_docstring(node) or "").split())
    found = re.match(r"(.*?)(?:(?:Seen red with|Broken on purpose(?:, each found)?:) (.*))?$", text)
    about, red = found.groups() if found else (text, None)
    return about.strip() or node.name.removeprefix("test_").replace("_", " ").capitalize() + ".", (red or "").strip()


def results(suite: str) -> dict[tuple[str, str], list[bool]]:
    """Return how each test of a suite ended, once for each of its parameters."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    path = RESULTS / f"{suite}.xml"
    if not path.exists():
        raise SystemExit(f"tools/invariants: {path.relative_to(ROOT)} is missing: run make test and make test-kernel")
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 (made by pytest here)
        if any(each.get("name") == "invariant" for each in case.iter("property")):
            name = case.get("name", "").partition("[")[0]
            module = case.get("classname", "").rpartition(".")[2]
            found[module, name].append(not {child.tag for child in case} & {"failure", "error", "skipped"})
    return found


def page(marked: list[Test]) -> str:
    """Write the page from the tests and their results."""
    promises = yaml.safe_load((ROOT / "tools/docs.d/invariants.yml").read_text(encoding="utf-8"))
    ended = {suite: results(suite) for suite in SUITES}
    lines = [HEAD]
    for number, promise in promises.items():
        lines += [f"## {number}. {promise['name']}", "", promise["text"], ""]
        rows = [test for test in marked if number in test.invariants]
        if not rows:
            lines += ["No test of this issue attacks it.", ""]
            continue
        lines += ["| where | attack | test | result | seen red with |", "| --- | --- | --- | --- | --- |"]
        for test in rows:
            runs = ended[test.suite].get((Path(test.file).stem, test.name), [])
            result = "not run" if not runs else f"{sum(runs)} of {len(runs)} passed" if len(runs) > 1 else (
                "passed" if runs[0] else "FAILED")  # fmt: skip
            place = f"[{test.name}](../{test.file})"
            cells = [SUITES[test.suite][1], test.about, place, result, test.red]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def check(marked: list[Test]) -> int:
    """See to it that the page names every marked test and no other, and that each says what it was seen red with."""
    wrong = [f"{test.file}: {test.name}: says not what it was seen red with" for test in marked if not test.red]
    wanted = {(test.name, f"../{test.file}") for test in marked}
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    named = set(re.findall(r"\[(test_\w+)\]\(([^)]+)\)", text))
    wrong += [f"{PAGE.name} lacks {name} ({file}): run make invariants" for name, file in sorted(wanted - named)]
    wrong += [f"{PAGE.name} names {name} ({file}), which is no marked test" for name, file in sorted(named - wanted)]
    wrong += [
        f"{PAGE.name} has a test that failed or did not run" for word in ("FAILED", "not run") if f"| {word} |" in text
    ]
    print("\n".join(wrong) or f"docs/invariants.md names all {len(wanted)} tests")
    return 1 if wrong else 0


def main() -> int:
    """Write the page, or check it."""
    marked = list(tests())
    if sys.argv[1:] == ["--check"]:
        return check(marked)
    PAGE.write_text(page(marked), encoding="utf-8")
    return check(marked)


if __name__ == "__main__":
    sys.exit(main())
