# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the guests' command: python3 -m kernelkit."""

from __future__ import annotations

import sys

from kernelkit.cli import main

sys.exit(main())
