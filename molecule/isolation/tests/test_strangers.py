# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ours. This module runs last: after every other test's accidents, repairs and runs of `site`."""

from __future__ import annotations

from collections.abc import Callable


def test_what_is_not_ours_is_byte_for_byte_the_same(strangers: Callable[[], tuple[str, str]]) -> None:
    """Seen red with a driver that added an element to the foreign table's set."""
    before, now = strangers()
    assert "wg-foreign" in before
    assert now == before
