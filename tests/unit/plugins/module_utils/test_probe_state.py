# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, locks and processes of the probes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import probe_state as state
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError


def test_folder_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    state.prepare_folder(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    state.prepare_folder(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_folder_is_no_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ProbeError, match="not a folder"):
        state.prepare_folder(str(tmp_path / "link"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ProbeError):
        state.prepare_folder(str(tmp_path / "file"))


def test_json_is_written_whole_and_for_the_owner_alone(tmp_path):
    path = str(tmp_path / "x.json")
    state.write_json(path, {"a": 1})
    state.write_json(path, {"a": [2]})
    assert state.read_json(path) == {"a": [2]}
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(str(tmp_path)) == ["x.json"]


def test_a_failed_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = str(tmp_path / "x.json")
    state.write_json(path, 1)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.os, "fsync", full)
    with pytest.raises(ProbeError, match="No space"):
        state.write_json(path, 2)
    assert state.read_json(path) == 1
    assert os.listdir(str(tmp_path)) == ["x.json"]


def test_reading_tells_absence_from_damage(tmp_path):
    assert state.read_json(str(tmp_path / "none")) is None
    (tmp_path / "bad").write_text("{")
    with pytest.raises(ProbeError, match="bad"):
        state.read_json(str(tmp_path / "bad"))


def test_sweep_removes_only_old_files_of_its_kind(tmp_path):
    for name in ("verify-old", "verify-new", "widened-old"):
        (tmp_path / name).write_text("")
        if name.endswith("old"):
            os.utime(str(tmp_path / name), (1, 1))
    (tmp_path / "verify-folder").mkdir()
    os.utime(str(tmp_path / "verify-folder"), (1, 1))
    state.sweep(str(tmp_path), "verify-", 60)
    assert sorted(os.listdir(str(tmp_path))) == ["verify-folder", "verify-new", "widened-old"]


def test_lock_is_held_by_one_and_freed(tmp_path):
    folder = str(tmp_path)
    refused = pytest.raises(ProbeError, match="another process")
    with state.folder_lock(folder, 0), refused, state.folder_lock(folder, 0.2):
        pass
    with state.folder_lock(str(tmp_path), 0):
        pass
    assert os.listdir(str(tmp_path)) == []


def test_start_time_tells_processes_apart():
    # The kernel counts start times in ticks of 10 ms: without a pause both may have the same one.
    time.sleep(0.05)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mine, other = state.start_time(os.getpid()), state.start_time(child.pid)
        assert mine is not None
        assert other is not None
        assert mine < other
    finally:
        child.kill()
    # Until somebody waits for it, the process is a zombie.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert state.start_time(child.pid) is None
    child.communicate()
    assert state.start_time(child.pid) is None


def test_open_files_stay_within_the_hard_limit(monkeypatch):
    calls = []
    monkeypatch.setattr(state.resource, "getrlimit", lambda _what: (100, 300))
    monkeypatch.setattr(state.resource, "setrlimit", lambda _what, limits: calls.append(limits))
    assert state.raise_open_files(50) == 50
    assert calls == []
    assert state.raise_open_files(200) == 200
    assert state.raise_open_files(1000) == 300
    assert calls == [(200, 300), (300, 300)]
    monkeypatch.setattr(state.resource, "getrlimit", lambda _what: (100, resource.RLIM_INFINITY))
    assert state.raise_open_files(1000) == 1000
