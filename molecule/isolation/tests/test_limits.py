# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that see only a part of the inventory never shrink the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from labnet import HOSTS, Lab, Peer


@pytest.mark.invariant(7, 9)
@pytest.mark.parametrize(
    "words", [["--limit", "web1"], ["--limit", "hub1"], ["-e", "wireguard_serial=1"]], ids=lambda words: words[-1]
)
def test_a_partial_run_changes_nothing_deployed(lab: Lab, words: list[str]) -> None:
    """Seen red with the hub's record of keys not read: a run that saw no peer removed them all."""
    before = lab.snapshot()
    outcome = lab.site(*words)
    assert not any(outcome.changed().values()), outcome.output
    assert lab.snapshot() == before


@pytest.mark.invariant(7, 9)
def test_an_empty_cache_of_facts_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    """A controller that has just been set up, with a cache for facts and nothing in it yet.

    Seen red with a task in the role `hub` that used a fact without asking for it.
    """
    before = lab.snapshot()
    cache = {"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path)}
    for _time in range(2):
        outcome = lab.play("site", environment={**cache, "ANSIBLE_GATHERING": "explicit"})
        assert outcome.status == 0, outcome.output
        assert not any(outcome.changed().values()), outcome.output
    assert lab.snapshot() == before


@pytest.mark.invariant(7)
def test_an_unreachable_peer_keeps_its_place(lab: Lab, peers: dict[str, Peer]) -> None:
    """Seen red with the hub's record of keys not read: the silent peer was removed."""
    before = lab.snapshot()
    silent = peers["db1"]
    lab.lab("enter", "podman", "stop", "--time", "3", HOSTS[silent.host].container)
    try:
        outcome = lab.play("site", "-e", "ansible_ssh_timeout=3")
        after = lab.snapshot()
    finally:
        lab.lab("up")
    assert outcome.status != 0, outcome.output
    assert after == before
    # The others had their turn.
    assert all(f"{host} " in outcome.output.split("PLAY RECAP")[1] for host in HOSTS if host in peers)
    lab.wake([silent])
    assert lab.connects(peers["web1"], silent.v4, 3306)
