# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an observer keeps, and how it is started and collected; capturing itself needs root."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import (
    probe_daemon,
    probe_observe,
    probe_packets,
    probe_state,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError

RUN = "0123456789abcdef"


def syn(port):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 172, 40, 0, 0, 64, 6, 0, b"\xc0\0\2\1", b"\xc6\x33\x64\2")
    return head + struct.pack("!HHIIBBHHH", 1, port, 1, 0, 0x50, 2, 1, 0, 0)


@pytest.fixture
def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_sightings_are_kept_once_and_sorted():
    observer = probe_observe.Observer(RUN)
    for port in (90, 80, 90):
        observer.note("wg0", "in", syn(port))
    observer.note("wg0", "out", syn(80))
    observer.note("wg0", "in", b"noise")
    ends = ["192.0.2.1", "198.51.100.2"]
    assert observer.report("stopped") == {
        "ended": "stopped",
        "sightings": [["wg0", "in", 4, "tcp", *ends, port] for port in (80, 90)]
        + [["wg0", "out", 4, "tcp", *ends, 80]],
        "overflow": False,
        "lost": 0,
    }


def test_memory_is_bounded_and_the_excess_is_said():
    observer = probe_observe.Observer(RUN, limit=2)
    for port in (1, 2, 1):
        observer.note("wg0", "in", syn(port))
    assert observer.overflow is False
    observer.note("wg0", "in", syn(3))
    assert observer.overflow is True
    assert len(observer.report("stopped")["sightings"]) == 2


def test_what_cannot_be_opened_is_listed(free_port):
    observer = probe_observe.Observer(RUN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", free_port))
        observer.open(
            ["no-such-if"],
            [{"address": "127.0.0.1", "port": free_port}, {"address": "192.0.2.1", "port": free_port}],
            43,
        )
    observer.close()
    assert [item["interface"] for item in observer.unwatched] == ["no-such-if"]
    assert [(item["address"], item["reason"]) for item in observer.skipped] == [
        ("127.0.0.1", "Address already in use"),
        ("192.0.2.1", "Cannot assign requested address"),
    ]


def ask(port, payload, seconds=2.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        client.connect(("127.0.0.1", port))
        client.send(payload)
        try:
            return client.recv(2048)
        except OSError:
            return None


def test_a_whole_life(tmp_path, free_port):
    folder = str(tmp_path)
    echo = [{"address": "127.0.0.1", "port": free_port}] * 2
    started = probe_daemon.start(RUN, 20, [], echo, folder=folder)
    assert started["echoing"] == 1
    request = probe_packets.request_payload(RUN, 5)
    assert ask(free_port, request) == probe_packets.reply_payload(RUN, request)
    assert ask(free_port, probe_packets.request_payload("f" * 16, 5), 0.3) is None
    with pytest.raises(ProbeError, match="already at work"):
        probe_daemon.start(RUN, 20, [], [], folder=folder)
    assert oct(os.stat(os.path.join(folder, f"verify-{RUN}.pid")).st_mode)[-3:] == "600"
    began = time.monotonic()
    result = probe_daemon.collect(RUN, folder=folder)
    assert time.monotonic() - began < 2
    assert (result["observed"], result["ended"], result["sightings"]) == (True, "stopped", [])
    assert probe_state.start_time(started["pid"]) is None
    assert os.listdir(folder) == []
    assert ask(free_port, request, 0.3) is None


def test_it_ends_at_its_deadline_by_itself(tmp_path):
    folder = str(tmp_path)
    pid = probe_daemon.start(RUN, 1, [], [], folder=folder)["pid"]
    until = time.monotonic() + 10
    while probe_state.start_time(pid) is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert probe_state.start_time(pid) is None
    assert oct(os.stat(os.path.join(folder, f"verify-{RUN}.json")).st_mode)[-3:] == "600"
    assert probe_daemon.collect(RUN, folder=folder)["ended"] == "deadline"
    assert os.listdir(folder) == []


def test_it_holds_no_file_of_its_caller_and_no_terminal(tmp_path):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    pid = probe_daemon.start(RUN, 20, [], [], folder=str(tmp_path))["pid"]
    try:
        os.close(writer)
        # The other end would stay open as long as the observer held it.
        assert os.read(reader, 1) == b""
        targets = {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}
        assert targets == {"/dev/null"}
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.close(reader)
        probe_daemon.collect(RUN, folder=str(tmp_path))


def test_no_observer_is_a_result_and_no_exception(tmp_path):
    result = probe_daemon.collect(RUN, folder=str(tmp_path))
    assert result["observed"] is False
    assert "no observer" in result["reason"]
    assert result["sightings"] == []


def test_one_that_was_killed_is_a_result_too(tmp_path):
    pid = probe_daemon.start(RUN, 20, [], [], folder=str(tmp_path))["pid"]
    os.kill(pid, 9)
    result = probe_daemon.collect(RUN, folder=str(tmp_path))
    assert result["observed"] is False
    assert "died without a result" in result["reason"]
    assert os.listdir(str(tmp_path)) == []


def test_a_stranger_with_the_same_pid_is_not_ended(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        began = probe_state.start_time(stranger.pid)
        for noted in ({"pid": stranger.pid, "start": began - 1}, {"pid": stranger.pid}, {"pid": 1, "start": 0}, 7):
            probe_state.write_json(str(tmp_path / f"verify-{RUN}.pid"), noted)
            assert probe_daemon.collect(RUN, folder=str(tmp_path))["observed"] is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()


def test_one_that_hangs_is_killed_after_a_bounded_time(tmp_path):
    pid = probe_daemon.start(RUN, 20, [], [], folder=str(tmp_path))["pid"]
    os.kill(pid, 19)
    began = time.monotonic()
    result = probe_daemon.collect(RUN, folder=str(tmp_path), patience=0.3)
    assert time.monotonic() - began < 5
    assert result["observed"] is False
    until = time.monotonic() + 5
    while probe_state.start_time(pid) is not None and time.monotonic() < until:
        time.sleep(0.02)
    assert probe_state.start_time(pid) is None


def test_old_results_that_nobody_collected_are_removed(tmp_path):
    old = tmp_path / ("verify-" + "f" * 16 + ".json")
    old.write_text("{}")
    os.utime(str(old), (1, 1))
    probe_daemon.start(RUN, 20, [], [], folder=str(tmp_path))
    probe_daemon.collect(RUN, folder=str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def broken(_path, _value):
        raise ProbeError("no")

    monkeypatch.setattr(probe_daemon, "write_json", broken)
    with pytest.raises(ProbeError, match="did not start"):
        probe_daemon.start(RUN, 20, [], [], folder=str(tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"run": "../../etc"}, "run"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 601}, "seconds"),
        ({"interfaces": ["a/b"]}, "interface"),
        ({"udp_echo": [{"address": "x", "port": 1}]}, "address"),
        ({"udp_echo": [{"address": "192.0.2.1", "port": 0}]}, "port"),
        ({"udp_echo": [{"address": "192.0.2.1", "port": port} for port in range(1, 10002)]}, "more than"),
        ({"marking": 64}, "DSCP"),
    ],
)
def test_wrong_options_start_nothing(tmp_path, changed, message):
    options = dict({"run": RUN, "seconds": 5, "interfaces": [], "udp_echo": []}, **changed)
    folder = tmp_path / "new"
    with pytest.raises(ProbeError, match=message):
        probe_daemon.start(folder=str(folder), **options)
    assert not folder.exists()
