# SPDX-License-Identifier: GPL-3.0-or-later
"""No run overtakes another on a hub, and nothing waits or claims in check mode."""

from __future__ import annotations

import fcntl

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import claim
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError


def task(host, run, first, revision=None):
    with claim.applying(host, {"run": run, "first": first, "revision": revision}):
        return claim.read_revision(host)


def test_each_run_counts_up_once(tmp_path):
    host = Host(root=str(tmp_path))
    assert [task(host, "a", True, 0), task(host, "a", False), task(host, "b", True, 1)] == [1, 1, 2]


def test_a_run_that_was_overtaken_stops(tmp_path):
    """Broken once by checking only the first task: the older run would have had the last word."""
    host = Host(root=str(tmp_path))
    task(host, "old", True, 0)
    task(host, "new", True, 1)
    with pytest.raises(HostError, match="another run has changed this hub"):
        task(host, "old", False)


def test_a_plan_that_is_older_than_the_hub_stops_before_it_claims(tmp_path):
    host = Host(root=str(tmp_path))
    task(host, "a", True, 0)
    with pytest.raises(HostError, match="run site again"):
        task(host, "late", True, 0)
    assert task(host, "a", False) == 1


def test_a_run_that_read_nothing_before_may_claim(tmp_path):
    """A role used alone has no play that asks the hub first."""
    host = Host(root=str(tmp_path))
    task(host, "a", True, 0)
    assert task(host, "role", True, None) == 2


def test_two_tasks_never_apply_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "_PATIENCE", 0)
    host = Host(root=str(tmp_path))
    host.make_folder(claim.LOCK_FOLDER, 0o700)
    with open(host.path(claim.LOCK_FOLDER + "/lock"), "w", encoding="ascii") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="another run is applying"):
            task(host, "a", True)
        with claim.applying(Host(check=True, root=str(tmp_path)), {"run": "check", "first": True}):
            assert claim.read_revision(host) == 0
