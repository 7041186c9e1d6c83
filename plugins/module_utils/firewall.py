# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of a host: one nftables table of ours, replaced in one transaction and loaded at boot.

The kernel is the truth: what was loaded is remembered by a fingerprint of what nft then listed, so a table
that somebody flushed or edited differs from it and is loaded again.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError, without_keys
from ansible_collections.tenantnet.wireguard.plugins.module_utils.iproute import default_devices
from ansible_collections.tenantnet.wireguard.plugins.module_utils.units import (
    FIREWALL,
    FOLDER,
    ensure_enabled,
    ensure_started,
    read_units,
    reload_manager,
)

BOOT_FILE = "/etc/tenantnet/firewall.nft"
STATE_FOLDER = "/var/lib/tenantnet"
STATE_FILE = STATE_FOLDER + "/firewall.json"
TABLE = ["inet", "tenantnet"]
# A generation takes the upper 24 bits of the conntrack mark; 0 is the mark of a flow nobody stamped.
GENERATION_SHIFT = 8
GENERATION_LIMIT = 2**24 - 1
_FILLED_BY_KERNEL = re.compile(r"^\tset connections \{.*?^\t\}\n", re.MULTILINE | re.DOTALL)
_UNIT = """\
# Managed by tenantnet.wireguard: changes are overwritten.
[Unit]
Description=Firewall of the tenantnet fabric
Documentation=https://github.com/tenantnet/wireguard
DefaultDependencies=no
# nftables.service flushes everybody's rules when it starts and reloads: ours are loaded after it, each time.
After=local-fs.target nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/tenantnet/firewall.nft
ExecReload=/usr/sbin/nft -f /etc/tenantnet/firewall.nft
# Stopping the unit leaves the firewall in place: it must outlive every interface that it guards.

[Install]
WantedBy=multi-user.target nftables.service
"""


def reconcile(host: Host, ruleset: str, uplinks: list[str] | None) -> dict[str, Any]:
    """Make the live firewall, and the one at boot, what `ruleset` says.

    ruleset: the compiler's text; uplinks: interfaces to the internet (None: those of the default routes).
    Returns the generation in force. Raises HostError, with the old firewall untouched, where nft refuses.
    """
    installed = host.has_command("nft")
    if not installed and not host.check:
        raise HostError("nft is not installed: run the role hub first")
    state = _read_state(host)
    body = ruleset + _host_elements(host, uplinks)
    digest = _digest(body)
    generation = int(state.get("generation", 0))
    changed_policy = state.get("ruleset") != digest
    if changed_policy:
        generation += 1
    if generation > GENERATION_LIMIT:
        raise HostError(f"the firewall has used up its {GENERATION_LIMIT} generations: reinstall the hub's state")
    mark = generation << GENERATION_SHIFT
    text = f"# Managed by tenantnet.wireguard: changes are overwritten.\ndefine GEN = {mark}\n{body}"
    live = _live_fingerprint(host) if installed else None
    stale = live is None or live != state.get("live") or changed_policy
    if stale and installed:
        host.run(["nft", "-c", "-f", "-"], stdin=text)
    previous = host.read(BOOT_FILE)
    if changed_policy and not host.check:
        # A number is spent before it is used: after a power cut it must not come back with other contents.
        _write_state(host, {"generation": generation, "ruleset": None, "live": None})
    host.ensure_file(BOOT_FILE, text, 0o600, folder_mode=0o755)
    if host.ensure_file(f"{FOLDER}/{FIREWALL}", _UNIT, 0o644) and not host.check:
        reload_manager(host)
    if stale and host.applies(f"load the firewall, generation {generation}"):
        code, _output, errors = host.attempt(["nft", "-f", BOOT_FILE])
        if code:
            if previous is not None:
                host.write(BOOT_FILE, previous, 0o600)
            raise HostError(f"nft refuses the firewall, the old one is in force: {without_keys(errors)}")
        _write_state(host, {"generation": generation, "ruleset": digest, "live": _live_fingerprint(host)})
    states = read_units(host, [FIREWALL])
    ensure_enabled(host, states)
    ensure_started(host, states)
    return {"generation": generation}


def _read_state(host: Host) -> dict[str, Any]:
    """Return what was loaded last; an unreadable file is an error, because generations may only grow."""
    text = host.read(STATE_FILE)
    if text is None:
        return {}
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise HostError(
            f"{STATE_FILE} is damaged: restore it from a backup, or write a generation above every earlier one"
        ) from error


def _write_state(host: Host, state: dict[str, Any]) -> None:
    """Remember what is loaded, on the disk."""
    host.make_folder(STATE_FOLDER, 0o700)
    host.write(STATE_FILE, json.dumps(state, sort_keys=True) + "\n", 0o600)


def _digest(text: str) -> str:
    """Return a fingerprint of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _live_fingerprint(host: Host) -> str | None:
    """Return a fingerprint of our live table, or None where there is none.

    Counters are left out, and so is the set that the kernel fills by itself.
    """
    code, output, _errors = host.attempt(["nft", "-s", "list", "table", *TABLE])
    return None if code else _digest(_FILLED_BY_KERNEL.sub("", output))


def _host_elements(host: Host, uplinks: list[str] | None) -> str:
    """Return what only the host knows: its uplinks and the networks that it is connected to."""
    if not host.has_command("ip"):
        return ""
    names = default_uplinks(host) if uplinks is None else sorted(uplinks)
    lines = ""
    if names:
        quoted = ", ".join(f'"{name}"' for name in names)
        lines += f"add element inet tenantnet uplinks {{ {quoted} }}\n"
    connected: dict[int, list[str]] = {4: [], 6: []}
    for family in (4, 6):
        argv = ["ip", "-N", "-j", f"-{family}", "route", "show", "table", "main", "proto", "2"]
        for item in json.loads(host.run(argv).strip() or "[]"):
            # The kernel's own routes: connected networks. Those of our interfaces are not in main.
            if item["dst"] != "default" and not str(item["dst"]).startswith(("fe80:", "ff")):
                connected[family].append(str(item["dst"]))
    for family, blocks in connected.items():
        if blocks:
            lines += f"add element inet tenantnet connected{family} {{ {', '.join(sorted(set(blocks)))} }}\n"
    return lines


def default_uplinks(host: Host) -> list[str]:
    """Return the interfaces of the default routes in the main table."""
    return sorted({device for family in (4, 6) for device, _protocol in default_devices(host, family)})
