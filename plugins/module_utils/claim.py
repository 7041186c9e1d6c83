# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a hub, and no old news: a run that another one has overtaken stops.

The first task of a run that changes a hub claims it, and every later one checks that the claim still stands. The claim
counts upwards, and a run says which count it has read when it began: if the hub has moved on since, what the run
compiled is old.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError

STATE_FOLDER = "/var/lib/tenantnet"
FILE = STATE_FOLDER + "/run.json"
LOCK_FOLDER = "/run/tenantnet"
# Seconds to wait for another task on the same host: longer than any of ours takes.
_PATIENCE = 120


@contextmanager
def applying(host: Host, claim: dict[str, Any] | None) -> Iterator[None]:
    """Hold the host's lock while something is applied, and the claim of the run where there is one.

    claim: run (its id), first (whether this is its first task here), revision (the count that it has read, or None).
    Raises HostError where another run holds the lock or has overtaken this one. Check mode neither waits nor claims.
    """
    if host.check:
        yield
        return
    host.make_folder(LOCK_FOLDER, 0o700)
    with open(host.path(LOCK_FOLDER + "/lock"), "w", encoding="ascii") as file:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise HostError("another run is applying on this host: run again when it has ended") from None
                time.sleep(0.2)
        if claim:
            _check(host, claim)
        yield


def read_revision(host: Host) -> int:
    """Return how often the hub has been claimed."""
    return int(_read(host).get("revision", 0))


def _read(host: Host) -> dict[str, Any]:
    """Return the last claim; raises HostError where the file is damaged."""
    text = host.read(FILE)
    try:
        return {} if text is None else dict(json.loads(text))
    except ValueError as error:
        raise HostError(f"{FILE} is damaged: restore it from a backup, or remove it") from error


def _check(host: Host, claim: dict[str, Any]) -> None:
    """Claim the hub for a run's first task, or check that the run still has it."""
    held = _read(host)
    overtaken = "another run has changed this hub since this one began: run site again"
    if not claim["first"]:
        if held.get("run") != claim["run"]:
            raise HostError(overtaken)
        return
    revision = int(held.get("revision", 0))
    if claim.get("revision") is not None and int(claim["revision"]) != revision:
        raise HostError(overtaken)
    host.make_folder(STATE_FOLDER, 0o700)
    host.write(FILE, json.dumps({"run": claim["run"], "revision": revision + 1}) + "\n", 0o600)
