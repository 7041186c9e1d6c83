# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are whole or untouched, and check mode touches nothing."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host, HostError


def mode(path):
    return stat.S_IMODE(os.stat(str(path)).st_mode)


def test_a_secret_is_private_from_the_first_byte(tmp_path, monkeypatch):
    """Broken once by writing with open() and chmod afterwards: the mode seen while writing was 0644."""
    seen = []
    real = os.fdopen

    def watch(descriptor, *args, **kwargs):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return real(descriptor, *args, **kwargs)

    monkeypatch.setattr(os, "fdopen", watch)
    Host(root=str(tmp_path)).write("/secret", "key\n", 0o600)
    assert seen == [0o600]
    assert mode(tmp_path / "secret") == 0o600


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    """A full disk is met at fsync, a read-only one at rename. Broken once by writing in place."""
    host = Host(root=str(tmp_path))
    host.write("/file", "old\n", 0o644)

    def fail(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(
        HostError, match=r"/file: cannot be written: No space left on device; the old file is untouched"
    ):
        host.write("/file", "new\n", 0o644)
    assert (tmp_path / "file").read_text() == "old\n"
    assert os.listdir(str(tmp_path)) == ["file"]


def test_a_file_that_is_right_is_not_written_again(tmp_path):
    host = Host(root=str(tmp_path))
    assert host.ensure_file("/etc/thing/file", "text\n", 0o640)
    before = os.stat(str(tmp_path / "etc/thing/file")).st_mtime_ns
    second = Host(root=str(tmp_path))
    assert not second.ensure_file("/etc/thing/file", "text\n", 0o640)
    assert (second.changes, second.diffs) == ([], [])
    assert os.stat(str(tmp_path / "etc/thing/file")).st_mtime_ns == before


def test_a_wrong_mode_is_a_difference(tmp_path):
    host = Host(root=str(tmp_path))
    host.write("/file", "text\n", 0o644)
    assert host.ensure_file("/file", "text\n", 0o600)
    assert mode(tmp_path / "file") == 0o600


def test_a_secret_never_stands_in_a_diff(tmp_path):
    """Broken once by dropping `secret=`: the diff held the text."""
    host = Host(root=str(tmp_path))
    host.ensure_file("/file", "PrivateKey = abc\n", 0o600, secret=True)
    host.ensure_file("/file", "PrivateKey = def\n", 0o600, secret=True)
    assert "abc" not in str(host.diffs)
    assert "def" not in str(host.diffs)
    assert len(host.diffs) == 2


def test_check_mode_predicts_the_same_changes_and_makes_none(tmp_path):
    (tmp_path / "old").write_text("x")
    predicting, doing = Host(check=True, root=str(tmp_path)), Host(root=str(tmp_path))
    (tmp_path / "setting").write_text("0\n")
    for host in (predicting, doing):
        host.ensure_file("/etc/file", "text\n", 0o644)
        host.ensure_absent("/old")
        if host is predicting:
            assert not (tmp_path / "etc").exists()
            assert (tmp_path / "old").exists()
    assert predicting.changes == doing.changes == ["write /etc/file", "remove /old"]
    assert predicting.diffs == doing.diffs


def test_a_kernel_setting_is_written_only_where_it_differs(tmp_path):
    folder = tmp_path / "proc/sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_forward").write_text("0\n")
    host = Host(root=str(tmp_path))
    host.ensure_setting("net.ipv4.ip_forward", "1")
    host.ensure_setting("net.ipv4.ip_forward", "1")
    assert host.changes == ["set net.ipv4.ip_forward = 1"]
    with pytest.raises(HostError, match="the kernel has no such setting"):
        host.ensure_setting("net.ipv4.nothing", "1")


def test_a_failed_command_says_which_and_why(tmp_path):
    host = Host(root=str(tmp_path))
    with pytest.raises(HostError, match=r"ls /nowhere-at-all: failed with status \d"):
        host.run(["ls", "/nowhere-at-all"])
    assert host.attempt(["no-such-command-here"])[0] == 127
