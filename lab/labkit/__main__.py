# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the lab's command: python3 -m labkit."""

from __future__ import annotations

import sys

from labkit.cli import main

sys.exit(main())
