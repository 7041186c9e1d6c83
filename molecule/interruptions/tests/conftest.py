# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deployed in this scenario, and the changes to it that are interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from labnet import Lab

# One of everything that a change can be: a segment more, a peer more, a peer less, another policy, another MTU.
CHANGED = """\
        mtu: 1380
        peers:
          - {name: spare, host: spare1}
          - {name: tablet, public_key: "3KGLVHKEMzGm4rQv7xVbEmC7l0fvHpSWDJpJvGmkn3I="}
  - name: north
    segments:
      - {name: main, interface: north, peers: [{name: site, public_key: "%s", networks: [192.0.2.0/24]}]}
"""
SITE_KEY = "w7HzYZ4HGNuLuJkZ2g9wqO3jhEw5sLEjgHIkqWrB5Fs="


class Declared:
    """An inventory of the tests' own, with one record of allocations, that declares what a test wants."""

    def __init__(self, committed: Path, folder: Path) -> None:
        self.path = folder
        shutil.copytree(committed, folder)
        self._file = folder / "group_vars/all/fabric.yml"
        self._first = self._file.read_text()

    def first(self) -> list[str]:
        """Declare what is committed; returns what `site` needs to be told to take the other back."""
        self._file.write_text(self._first)
        return ["-e", "wireguard_allocation_frozen=false", "-e", "wireguard_allow_removal=north"]

    def change(self) -> list[str]:
        """Declare a change of every kind; returns what `site` needs to be told."""
        text = self._first
        east, west = text.index("        peers:\n"), text.index("  - name: west\n")
        text = text[:east] + CHANGED % SITE_KEY + text[west:]
        self._file.write_text(text.replace("ports: [tcp/443, icmp]", "ports: [tcp/443, udp/53]"))
        return ["-e", "wireguard_allocation_frozen=false"]


@pytest.fixture(scope="session")
def declared(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Declared:
    """The inventory that these tests deploy."""
    return Declared(lab.inventory, tmp_path_factory.mktemp("declared") / "inventory")
