# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A segment on its way to being placed."""

from __future__ import annotations

from dataclasses import dataclass

from .addresses import Prefix
from .model import Management, Segment
from .problems import Path
from .record import ROOT, SegmentRecord


@dataclass(slots=True)
class Place:
    """A segment on its way: what is declared, what is recorded (under its former name), and what is decided."""

    id: str
    tenant: str
    declared: Segment | Management
    hub: str
    recorded: SegmentRecord | None
    former: str = ""
    number: int = 0
    subnet: Prefix | None = None
    subnet_v6: Prefix | None = None
    listen_port: int = 0
    interface: str = ""
    table: int = 0

    @property
    def path(self) -> Path:
        """Where the segment is declared."""
        return self.declared.path


def origin(place: Place, key: str) -> Path:
    """Return where a segment's value comes from: its declaration, or the record."""
    if getattr(place.declared, key, None):
        return (*place.path, key)
    return (*ROOT, "segments", place.id, key) if place.recorded else place.path
