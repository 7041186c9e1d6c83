# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test proves: `@pytest.mark.invariant(1, 11)`, written into the results for docs/invariants.md.

The conftest of every suite imports these hooks of pytest's.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest know the mark."""
    config.addinivalue_line(
        "markers", "invariant(*numbers): the invariants of docs/invariants.md that the test attacks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write each test's invariants among its properties, which stand in the file of results."""
    for item in items:
        for mark in item.iter_markers("invariant"):
            item.user_properties += [("invariant", str(number)) for number in mark.args]
