# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad inventories, read by Ansible itself: a file each in cases/, with the messages and the places in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.values import origin_of
from ansible_collections.tenantnet.wireguard.tests.unit.support import inventory
from ansible_collections.tenantnet.wireguard.tests.unit.support.casefile import Case, read_cases

CASES = read_cases(Path(__file__).parent / "cases")
# Ansible's own words differ from version to version.
_REASON = re.compile(r"(?<=cannot be templated: ).*(?=, define what it names)")
pytestmark = pytest.mark.skipif(origin_of is None, reason="before ansible-core 2.19 numbers and null have no place")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch):
    """Where CI runs, the record is frozen; here nothing depends on it."""
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_messages(case: Case, tmp_path: Path):
    """Broken on purpose: a walk that stops at the first undefined name; places taken from the variable alone."""
    files = {name.removeprefix("file "): text for name, text in case.sections.items() if name.startswith("file ")}
    inventory.write(tmp_path, files)
    found = inventory.messages(inventory.read(tmp_path), tmp_path)
    case.check([_REASON.sub("REASON", message) for message in found])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
def test_every_case_expects_something(case: Case):
    assert case.about
    assert case.expected
