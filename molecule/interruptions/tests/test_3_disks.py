# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub's disk is full, or may not be written to: the run says so, and every file is what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from labnet import Lab

HUB = "hub2"
# What lies in each folder is written by another task; nothing of it may be lost.
FOLDERS = ["/etc/tenantnet", "/var/lib/tenantnet", "/etc/wireguard", "/etc/systemd/system", "/etc/iproute2"]


@contextlib.contextmanager
def without_room(lab: Lab, folder: str) -> Iterator[None]:
    """The folder on a disk of its own, with its files and no room for another byte."""
    lab.sh(HUB, f"""set -e
        cp -a {folder} /run/kept
        mount -t tmpfs -o size=1m,mode=755 none {folder}
        cp -a /run/kept/. {folder}/
        cat /dev/zero > {folder}/filler 2>/dev/null || true""")  # fmt: skip
    try:
        yield
    finally:
        lab.sh(HUB, f"umount {folder}; rm -rf /run/kept")


@contextlib.contextmanager
def read_only(lab: Lab, folder: str) -> Iterator[None]:
    """The folder, read-only."""
    lab.sh(HUB, f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")
    try:
        yield
    finally:
        lab.sh(HUB, f"umount {folder}")


def files(lab: Lab, folder: str) -> str:
    """Every file of a folder by its hash; the claim of a run counts all runs, also those that fail."""
    script = f"cd {folder} && find . -type f ! -name filler ! -name run.json | sort | xargs -r sha256sum"
    return lab.sh(HUB, script)


@pytest.mark.invariant(6)
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("disk", [without_room, read_only], ids=["full", "read-only"])
def test_a_disk_that_takes_nothing_loses_nothing(
    lab: Lab, declared: Any, disk: Callable[[Lab, str], AbstractContextManager[None]], folder: str
) -> None:
    """Seen red with files written in place: on a full disk the old ones were gone."""
    before = files(lab, folder)
    interfaces = lab.sh(HUB, "wg show all peers | sort")
    with disk(lab, folder):
        outcome = lab.play("site", "--limit", HUB, *declared.change(), inventory=declared.path)
        during = files(lab, folder)
    assert outcome.status != 0
    reason = "No space left on device" if disk is without_room else "Read-only file system"
    assert reason in outcome.output, outcome.output
    assert "Traceback" not in outcome.output
    assert "the old file is untouched" in outcome.output or "the folder cannot be made" in outcome.output
    assert folder in outcome.output
    assert during == before
    assert files(lab, folder) == before
    if folder != "/etc/wireguard":
        assert lab.sh(HUB, "wg show all peers | sort") == interfaces
    # What the run could still do is taken back: each folder has something to write in the next one.
    lab.site("--limit", HUB, *declared.first(), inventory=declared.path)
