# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard hypothesis looks: TENANTNET_HYPOTHESIS=deep for a search of minutes, with new examples each time."""

from __future__ import annotations

import os

from hypothesis import settings

PROFILE = os.environ.get("TENANTNET_HYPOTHESIS", "quick")
QUICK, DEEP = 40, 3000


def examples(quick: int) -> settings:
    """Ask for more or fewer examples than usual, in either profile in proportion."""
    return settings(max_examples=quick if PROFILE == "quick" else quick * DEEP // QUICK)
