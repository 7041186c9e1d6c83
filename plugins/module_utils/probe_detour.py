# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The detour: lets a client send into its tunnel what it has no route for.

A client that is held back by its own configuration would prove nothing about the
hub, because an attacker owns his client. So for the time of the probes the hub's
AllowedIPs on this client are widened, and two rules and a table of their own lead
to exactly the probed addresses. All of it is noted on disk before it is done; the
note is what undoing works from, in the same process or in the next one.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import subprocess
from functools import partial
from typing import Any, Mapping, Sequence

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import (
    ProbeError,
    check_interface,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_state import (
    read_json,
    remove_file,
    write_json,
)

TABLES = range(1999900000, 1999901000)
"""Where a free routing table is looked for, far from those that people use."""

HIGHEST_PRIORITY = 999

# Stands for the key of the only peer that an interface has.
ONLY_PEER = "only"
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_LONGEST_ARGUMENT = 100000  # bytes; the kernel takes 128 KiB
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Commands:
    """The commands and kernel facts that the detour needs; tests replace it."""

    def run(self, argv: Sequence[str], stdin: str = "") -> tuple[int, str, str]:
        """Run a command for at most 60 seconds; return status, output, errors.

        Raises ProbeError if it is not there or takes longer.
        """
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env={"PATH": _PATH, "LC_ALL": "C"},
                # An interrupt from the terminal must not end it half way.
                start_new_session=True,
            )
        except FileNotFoundError as exc:
            raise ProbeError(f"{argv[0]} is not installed") from exc
        except (OSError, subprocess.SubprocessError) as exc:
            raise ProbeError(f"{' '.join(argv[:3])} failed: {exc}") from exc
        return done.returncode, done.stdout, done.stderr

    def exists(self, interface: str) -> bool:
        """Tell whether this host has the interface now."""
        try:
            socket.if_nametoindex(interface)
        except OSError:
            return False
        return True


def _prefix(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as exc:
        raise ProbeError(f"{text!r} is not a prefix") from exc


def _parse_list(output: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(output or "[]")
    except ValueError as exc:
        raise ProbeError("ip does not write JSON: iproute2 is too old") from exc
    if not isinstance(found, list):
        raise ProbeError("ip wrote JSON of an unknown form")
    return found


class Detour:
    """A context in which packets to C(targets) leave by C(interface).

    C(sources) are this client's addresses in the tunnel and C(targets) the probed
    addresses, by family. Entering raises ProbeError if it can't be set up; a family
    that the interface can't route is left to C(broken) instead. Leaving restores
    everything, or raises ProbeError and keeps the note for the next time.
    """

    def __init__(
        self,
        commands: Commands,
        folder: str,
        interface: str,
        hub_public_key: str | None,
        widen: Sequence[str],
        sources: Mapping[int, str],
        targets: Mapping[int, Sequence[str]],
    ) -> None:
        self.commands = commands
        self.interface = check_interface(interface)
        self.note_path = os.path.join(folder, f"widened-{interface}.json")
        self.hub_public_key = hub_public_key or None
        if self.hub_public_key not in (None, ONLY_PEER) and not _PUBLIC_KEY.fullmatch(self.hub_public_key or ""):
            raise ProbeError("hub_public_key is not a WireGuard public key")
        self.widen = sorted({_prefix(text) for text in widen})
        self.sources = sources
        self.targets = {family: list(found) for family, found in targets.items() if found}
        self.broken: dict[int, str] = {}
        self.notes: list[str] = []

    def __enter__(self) -> Detour:
        """Undo what an earlier run left, then set up; raises ProbeError."""
        if not self.commands.exists(self.interface):
            raise ProbeError(f"there is no interface {self.interface}")
        left_over = read_json(self.note_path)
        if left_over is not None:
            self._undo(left_over)
            self.notes.append(f"restored what an interrupted run had left on {self.interface}")
        note = self._plan()
        write_json(self.note_path, note)
        try:
            self._apply(note)
        except BaseException:
            self._undo(note)
            raise
        self._note = note
        return self

    def __exit__(self, *_exc: object) -> None:
        """Restore everything; raises ProbeError if it is not as it was."""
        self._undo(self._note)

    # AllowedIPs

    def _allowed_ips(self) -> dict[str, list[str]]:
        # Not `wg show dump`: its first line is the private key.
        status, output, errors = self.commands.run(["wg", "show", self.interface, "allowed-ips"])
        if status:
            raise ProbeError(f"wg cannot read {self.interface}: {errors.strip()}")
        peers = {}
        for line in output.splitlines():
            key, _tab, prefixes = line.partition("\t")
            peers[key] = [text for text in prefixes.split() if text != "(none)"]
        return peers

    def _set_allowed_ips(self, key: str, prefixes: Sequence[str]) -> None:
        wanted = ",".join(prefixes)
        if len(wanted) > _LONGEST_ARGUMENT:
            raise ProbeError(f"{self.interface} has too many AllowedIPs to widen")
        argv = ["wg", "set", self.interface, "peer", key, "allowed-ips", wanted]
        status, _output, errors = self.commands.run(argv)
        if status:
            raise ProbeError(f"wg cannot set AllowedIPs: {errors.strip()}")
        if set(self._allowed_ips().get(key, [])) != set(prefixes):
            raise ProbeError(f"AllowedIPs on {self.interface} are not what was set")

    # Rules and routes

    def _rules(self, family: int) -> list[dict[str, Any]]:
        status, output, errors = self.commands.run(["ip", f"-{family}", "-j", "rule"])
        if status:
            raise ProbeError(f"ip cannot read rules: {errors.strip()}")
        return _parse_list(output)

    def _has_routes(self, family: int, table: int) -> bool:
        argv = ["ip", f"-{family}", "-j", "route", "show", "table", str(table)]
        status, output, errors = self.commands.run(argv)
        if status and "does not exist" in errors:
            return False
        if status:
            raise ProbeError(f"ip cannot read routes: {errors.strip()}")
        return bool(_parse_list(output))

    def _free_place(self, family: int) -> dict[str, int]:
        rules = self._rules(family)
        # Ahead of all others but that of the local table, whichever they are.
        priority = min([HIGHEST_PRIORITY] + [rule["priority"] - 1 for rule in rules if rule["priority"] > 0])
        if priority < 1:
            raise ProbeError("ip rule has no free priority ahead of the others")
        taken = {str(rule.get("table")) for rule in rules}
        for table in TABLES:
            if str(table) not in taken and not self._has_routes(family, table):
                return {"priority": priority, "table": table}
        raise ProbeError("no free routing table")

    def _plan(self) -> dict[str, Any]:
        """Return what is going to be done, as plain data."""
        note: dict[str, Any] = {"interface": self.interface, "rules": {}, "peer": None}
        if self.hub_public_key:
            peers = self._allowed_ips()
            hub = self.hub_public_key
            if hub == ONLY_PEER:
                if len(peers) != 1:
                    raise ProbeError(f"{self.interface} has {len(peers)} peers: name the hub's key")
                hub = next(iter(peers))
            if hub not in peers:
                raise ProbeError(f"{self.interface} has no peer with hub_public_key")
            before = peers.pop(hub)
            # WireGuard would take a prefix away from the peer that has it.
            others = {prefix for prefixes in peers.values() for prefix in prefixes}
            for prefix in sorted(others & set(self.widen)):
                self.notes.append(f"{prefix} belongs to another peer: not widened")
            extra = [text for text in self.widen if text not in others and text not in before]
            if extra:
                note["peer"] = {"key": hub, "before": before, "extra": extra}
        for family in sorted(self.targets):
            note["rules"][str(family)] = self._free_place(family)
        return note

    def _apply(self, note: Mapping[str, Any]) -> None:
        peer = note["peer"]
        if peer:
            self._set_allowed_ips(peer["key"], peer["before"] + peer["extra"])
        for family, place in sorted(note["rules"].items()):
            length = 32 if family == "4" else 128
            table = place["table"]
            # Host routes and no default route: whatever else this host sends with
            # the same source address goes on as before.
            lines = [
                f"route add {address}/{length} dev {self.interface} table {table}"
                for address in sorted(set(self.targets[int(family)]))
            ]
            rule = "rule add priority {0} {1} {2} lookup {3}"
            lines.append(rule.format(place["priority"], "oif", self.interface, table))
            if int(family) in self.sources:
                # The check of reverse paths looks up answers by this rule: without it
                # a strict rp_filter would hide a leak.
                source = f"{self.sources[int(family)]}/{length}"
                lines.append(rule.format(place["priority"], "from", source, table))
            argv = ["ip", f"-{family}", "-batch", "-"]
            status, _output, errors = self.commands.run(argv, "\n".join(lines) + "\n")
            if status:
                self.broken[int(family)] = " ".join(errors.split())

    def _undo(self, note: Mapping[str, Any]) -> None:
        """Take back what the note says and remove it; fine if nothing was done yet."""
        troubles = []
        try:
            steps = [
                partial(self._undo_rules, int(family), place["priority"], place["table"])
                for family, place in sorted(note["rules"].items())
            ]
            if note["peer"]:
                peer = note["peer"]
                steps.insert(0, partial(self._undo_peer, peer["key"], set(peer["extra"])))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise ProbeError(f"{self.note_path} is not a note of ours") from exc
        for step in steps:
            try:
                step()
            except ProbeError as exc:
                troubles.append(str(exc))
        if troubles:
            raise ProbeError(
                f"not everything could be restored, {self.note_path} keeps what is left for the next run: "
                + "; ".join(troubles)
            )
        remove_file(self.note_path)

    def _undo_rules(self, family: int, priority: int, table: int) -> None:
        lines = [f"rule del priority {priority} lookup {table}"] * 2
        lines.append(f"route flush table {table}")
        # What was not added yet cannot be deleted; what counts is checked below.
        argv = ["ip", f"-{family}", "-force", "-batch", "-"]
        self.commands.run(argv, "\n".join(lines) + "\n")
        ours = [rule for rule in self._rules(family) if str(rule.get("table")) == str(table)]
        if ours or self._has_routes(family, table):
            raise ProbeError(f"the IPv{family} rules of priority {priority} or table {table} could not be removed")

    def _undo_peer(self, key: str, extra: set[str]) -> None:
        if not self.commands.exists(self.interface):
            return
        peers = self._allowed_ips()
        live = peers.pop(key, None)
        # To set a list on a peer that has gone would bring the peer back.
        if live is None:
            return
        others = {prefix for prefixes in peers.values() for prefix in prefixes}
        # A list that lacks what was added was written anew by somebody since: theirs.
        if not extra <= others | set(live):
            return
        self._set_allowed_ips(key, [text for text in live if text not in extra])
