# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on a real kernel: User-Mode Linux machines with disks and a kernel of their own, on a bridge of their own."""

import sys
from pathlib import Path

# The lab's own kit, for its keys, its packages and its way of running commands.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))
