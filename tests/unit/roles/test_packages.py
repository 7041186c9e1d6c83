# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a role asks for on which distribution: the selection as the role's own tasks make it.

Debian's packages are really installed on the lab. No host of the Red Hat family was run: here its names are only
chosen, from facts as such hosts give them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).parents[3] / "roles"
DEBIAN_HUB = ["wireguard-tools", "nftables", "iproute2", "conntrack"]
RED_HAT_HUB = ["wireguard-tools", "nftables", "iproute", "conntrack-tools"]


def chosen(role, facts):
    """Return the packages that the role's tasks choose for these facts."""
    tasks = yaml.safe_load((ROLES / role / "tasks" / "packages.yml").read_text())
    reading = next(task for task in tasks if "ansible.builtin.include_vars" in task)
    search = reading["vars"][f"__{role}_files"]
    templar = Templar(loader=DataLoader(), variables={"ansible_facts": facts, "role_path": str(ROLES / role)})
    folders = [Path(templar.template(trust_as_template(path))) for path in search["paths"]]
    names = [templar.template(trust_as_template(name)) for name in search["files"]]
    found = next(folder / name for name in names for folder in folders if (folder / name).exists())
    return yaml.safe_load(found.read_text())[f"__{role}_packages"]


@pytest.mark.parametrize(
    ("distribution", "version", "family", "hub", "peer"),
    [
        ("Debian", "12", "Debian", DEBIAN_HUB, ["wireguard-tools", "iproute2"]),
        ("Debian", "11", "Debian", DEBIAN_HUB, ["wireguard-tools", "iproute2"]),
        ("Ubuntu", "24", "Debian", DEBIAN_HUB, ["wireguard-tools", "iproute2"]),
        ("Rocky", "9", "RedHat", RED_HAT_HUB, ["wireguard-tools", "iproute"]),
        ("AlmaLinux", "9", "RedHat", RED_HAT_HUB, ["wireguard-tools", "iproute"]),
        ("CentOS", "9", "RedHat", RED_HAT_HUB, ["wireguard-tools", "iproute"]),
        ("Fedora", "42", "RedHat", RED_HAT_HUB, ["wireguard-tools", "iproute"]),
        # A near miss: nothing is guessed for a family that nobody has tried.
        ("openSUSE Leap", "15", "Suse", [], []),
    ],
)
def test_the_packages_fit_the_distribution(distribution, version, family, hub, peer):
    facts = {"distribution": distribution, "distribution_major_version": version, "os_family": family}
    assert chosen("hub", facts) == hub
    assert chosen("peer", facts) == peer
