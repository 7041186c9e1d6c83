# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units: read all at once, written, enabled and started in as few calls as there are kinds of change."""

from __future__ import annotations

from typing import Iterable, NamedTuple

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host

FOLDER = "/etc/systemd/system"
FIREWALL = "tenantnet-firewall.service"
ROUTING = "tenantnet-routing.service"


class UnitState(NamedTuple):
    """Whether a unit is active now (or on its way), and whether it starts at boot."""

    active: bool
    enabled: bool


def read_units(host: Host, names: Iterable[str]) -> dict[str, UnitState]:
    """Return the state of units by name; one that systemd does not know is neither active nor enabled."""
    names = sorted(names)
    states = {name: UnitState(False, False) for name in names}
    if not names:
        return states
    properties = "--property=Id,ActiveState,UnitFileState"
    output = host.run(["systemctl", "show", properties, *names])
    for block in output.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("Id") in states:
            states[values["Id"]] = UnitState(
                values.get("ActiveState") in ("active", "activating", "reloading"),
                values.get("UnitFileState") in ("enabled", "enabled-runtime"),
            )
    return states


def reload_manager(host: Host) -> None:
    """Let systemd read changed unit files; running units are not touched by it."""
    host.run(["systemctl", "daemon-reload"])


def ensure_enabled(host: Host, states: dict[str, UnitState]) -> list[str]:
    """Enable the units that would not start at boot; return their names."""
    missing = sorted(name for name, state in states.items() if not state.enabled)
    if missing and host.applies(f"enable {', '.join(missing)}"):
        host.run(["systemctl", "enable", *missing])
    return missing


def ensure_started(host: Host, states: dict[str, UnitState]) -> list[str]:
    """Start the units that are not active, all in one call so that they start side by side; return their names."""
    missing = sorted(name for name, state in states.items() if not state.active)
    if missing and host.applies(f"start {', '.join(missing)}"):
        # A unit that failed before is started again without waiting for its rate limit.
        host.attempt(["systemctl", "reset-failed", *missing])
        host.run(["systemctl", "start", *missing])
    return missing


def stop_and_disable(host: Host, names: list[str]) -> None:
    """Stop units and keep them from starting at boot."""
    if names and host.applies(f"stop and disable {', '.join(names)}"):
        host.run(["systemctl", "disable", "--now", *names])
