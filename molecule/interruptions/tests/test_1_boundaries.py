# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller dies at every boundary between two tasks, from the first deployment to the removal of a segment.

It comes first: the hosts of this scenario have nothing on them yet.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from labnet import ROOT, Lab

HUB, PEER = "hub2", "spare1"
# More than `site` has; the run that reaches its end says so.
LIMIT = 40


def state(lab: Lab) -> dict[str, str]:
    """The private keys of both hosts by file, as hashes; and nothing may be half open on the hub."""
    program = (ROOT / "molecule/interruptions/stops.py").read_text()
    # Without a word for the files: which ones are right is the other tests' matter.
    wrong = lab.sh(HUB, "python3 - wrong", stdin=program)
    assert json.loads(wrong) == []
    found = {}
    for host in (HUB, PEER):
        for line in lab.sh(host, "sha256sum /etc/tenantnet/keys/*.key 2>/dev/null || true").splitlines():
            digest, path = line.split()
            found[f"{host}:{path}"] = digest
    return found


def stopped_at_every_boundary(lab: Lab, inventory: Path, *words: str) -> int:
    """Let one run after the other die, each at a boundary further on than the one before, until one reaches the end."""
    keys = state(lab)
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule/interruptions/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "stop_before",
    }
    for number in range(1, LIMIT):
        outcome = lab.play("site", *words, inventory=inventory, environment={**environment, "STOP_BEFORE": str(number)})
        after = state(lab)
        assert {name: after.get(name) for name in keys} == keys, f"before task {number}: {outcome.output}"
        keys = after
        finished = re.search(r"TASKS (\d+)", outcome.output)
        if finished:
            assert outcome.status == 0, outcome.output
            assert number == int(finished[1]) + 1
            return number - 1
        assert f"STOPPED before task {number}" in outcome.output, outcome.output
    raise AssertionError(f"no end after {LIMIT} tasks")


@pytest.mark.invariant(6, 2)
@pytest.mark.parametrize("kind", ["first", "change", "back"])
def test_killed_at_every_task_boundary(lab: Lab, declared: Any, kind: str) -> None:
    """Seen red with retired interfaces taken down last: one stood that neither rules nor firewall knew."""
    words = declared.change() if kind == "change" else declared.first()
    if kind == "first":
        words = words[:2]
    else:
        # What a peer does is the same each time; it was there for the first.
        words += ["--limit", HUB]
    assert stopped_at_every_boundary(lab, declared.path, *words) > 6
    outcome = lab.site(*words, inventory=declared.path)
    assert not any(outcome.changed().values()), outcome.output
    segments = {"management", "east/main", "west/main"} | ({"north/main"} if kind == "change" else set())
    listed = lab.sh(HUB, "sed -n '1s/^# Managed by tenantnet.wireguard: //p' -s /etc/wireguard/*.conf")
    assert set(listed.split()) == segments
    lab.wake([lab.peer("east/main/spare", PEER)], HUB)
