# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests for the tests: switched on with nothing on them once, ended after the last test."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parents[1] / "tests")]

import proof  # noqa: E402
from kernelkit import cli  # noqa: E402
from kernelkit.hosts import GUESTS  # noqa: E402
from kernelnet import PEERS, ROOT, Net, Outcome  # noqa: E402

pytest_configure = proof.pytest_configure
pytest_collection_modifyitems = proof.pytest_collection_modifyitems


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """All guests, switched on and with nothing deployed; with the network that the tests will deploy."""
    cli.down()
    cli.up(list(GUESTS.values()), fresh=True)
    net = Net(ROOT / "inventories/kernel", tmp_path_factory.mktemp("kernel"))
    yield net
    for guest in GUESTS.values():
        net.forget(guest)
    if not os.environ.get("TENANTNET_KERNEL_KEEP"):
        cli.down()


@pytest.fixture(scope="session")
def first(guests: Net) -> Outcome:
    """The first deployment, onto guests that had nothing."""
    begin = time.monotonic()
    outcome = guests.play("site")
    print(f"the first site: {time.monotonic() - begin:.0f} s")
    return outcome


@pytest.fixture(scope="session")
def programs(guests: Net, first: Outcome) -> None:
    """The traffic's programs on the peers."""
    for guest in PEERS:
        guests.lay_programs(guest)


@pytest.fixture
def net(guests: Net, first: Outcome, programs: None) -> Net:
    """The deployed network, with everybody up: what every test finds and leaves."""
    assert first.status == 0, first.output
    return guests
