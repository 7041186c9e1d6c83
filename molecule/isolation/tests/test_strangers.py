# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ours. This module runs last: after every other test's accidents, repairs and runs of `site`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from labnet import HUB, Lab, Peer


@pytest.mark.invariant(3)
def test_what_is_not_ours_is_byte_for_byte_the_same(strangers: Callable[[], tuple[str, str]]) -> None:
    """Seen red with a driver that added an element to the foreign table's set."""
    before, now = strangers()
    assert "wg-foreign" in before
    assert now == before


@pytest.mark.invariant(8, 3, 6)
def test_what_is_not_ours_survives_a_tenants_removal(
    lab: Lab, peers: dict[str, Peer], strangers: Callable[[], tuple[str, str]], tmp_path: Path
) -> None:
    """A whole tenant goes, and comes back with its old key: for its clients nothing has changed.

    Seen red with every configuration in /etc/wireguard taken for ours.
    """
    gone = peers["app1"]
    before, keys = lab.snapshot(), lab.sh(HUB, f"wg show {gone.interface} public-key")
    inventory = tmp_path / "inventory"
    shutil.copytree(lab.inventory, inventory)
    tenants, policies = (inventory / f"group_vars/all/{name}.yml" for name in ("tenants", "policies"))
    text = tenants.read_text()
    start, end = text.index("  - name: tenant-b\n"), text.index("  - name: shared\n")
    tenants.write_text(text[:start] + text[end:])
    rules = policies.read_text().replace(", tenant-b/production", "").replace("tenant-b/production, ", "")
    policies.write_text(rules.replace("deny: [tenant-b]", "deny: []"))
    words = ["--limit", HUB, "-e", "wireguard_allocation_frozen=false", "-e", "wireguard_allow_removal=tenant-b"]
    refused = lab.play("site", *words[:-2], inventory=inventory)
    assert refused.status != 0
    assert "segment tenant-b/production would be removed" in refused.output
    assert lab.snapshot() == before
    lab.site(*words, inventory=inventory)
    removed = lab.snapshot()
    first, now = strangers()
    lab.site("--limit", HUB)
    assert now == first
    for name, listing in removed.items():
        assert gone.interface not in listing, name
        assert gone.v4 not in listing, name
    after = lab.snapshot()
    # The firewall has a new generation, in its file too: a number never comes back.
    for name in before.keys() - {"firewall", "files"}:
        assert after[name] == before[name]
    assert lab.sh(HUB, f"wg show {gone.interface} public-key") == keys
    lab.wake([gone])
    assert lab.connects(gone, peers["db1"].v4, 3306)
