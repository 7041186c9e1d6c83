# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sender refuses before it touches anything, and how it takes signals."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.tenantnet.wireguard.plugins.module_utils import probe_send
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError

RUN = "0123456789abcdef"


def probe(**changed):
    return dict({"id": "a", "address": "192.0.2.1", "protocol": "tcp", "port": 80}, **changed)


def test_probes_keep_their_order_and_find_their_family():
    found = probe_send.parse_probes(
        [probe(), probe(id="b", address="2001:db8::1", protocol="icmp", port=None), probe(id="c", protocol="udp")]
    )
    assert [(one.ident, one.number, one.family, one.port) for one in found] == [
        ("a", 0, 4, 80),
        ("b", 1, 6, 0),
        ("c", 2, 4, 80),
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"address": "host"}, "probe a: 'host' is not an IP address"),
        ({"address": "224.0.0.1"}, "single host"),
        ({"protocol": "sctp"}, "protocol"),
        ({"port": None}, "port"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": -1}, "port"),
        ({"protocol": "icmp"}, "port"),
    ],
)
def test_wrong_probes_are_named(changed, message):
    with pytest.raises(ProbeError, match=message):
        probe_send.parse_probes([probe(**changed)])


def test_ids_are_unique_and_probes_bounded():
    with pytest.raises(ProbeError, match="twice"):
        probe_send.parse_probes([probe(), probe(port=81)])
    with pytest.raises(ProbeError, match="more than"):
        probe_send.parse_probes([probe()] * (probe_send.MAX_PROBES + 1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"run": "x"}, "run"),
        ({"interface": "a/b"}, "interface"),
        ({"source": "2001:db8::1"}, "not an IPv4"),
        ({"source_v6": "192.0.2.1"}, "not an IPv6"),
        ({"source": "host"}, "not an IP address"),
        ({"timeout": 0.0}, "range"),
        ({"timeout": 31.0}, "range"),
        ({"attempts": 0}, "range"),
        ({"attempts": 11}, "range"),
        ({"concurrency": 0}, "range"),
        ({"concurrency": 20000}, "range"),
        ({"timeout": 30.0, "attempts": 10, "concurrency": 1, "probes": [probe(), probe(id="b"), probe(id="c")]}, "600"),
        ({"marking": 64}, "DSCP"),
    ],
)
def test_wrong_options_touch_nothing(tmp_path, changed, message):
    class Untouched(probe_send.Commands):
        def run(self, argv, stdin=""):
            raise AssertionError(argv)

    options = dict({"run": RUN, "interface": "lo", "probes": [probe()]}, **changed)
    folder = tmp_path / "new"
    with pytest.raises(ProbeError, match=message):
        probe_send.send(folder=str(folder), commands=Untouched(), **options)
    assert not folder.exists()


def test_signals_are_noted_and_the_old_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with probe_send.noted_signals() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped()
    assert signal.getsignal(signal.SIGTERM) is before
