# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who on the lab's own network, and strangers on the hub that nothing of ours may touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from labnet import HUB, IDS, ROOT, Lab, Peer


@pytest.fixture(scope="session")
def peers(lab: Lab) -> dict[str, Peer]:
    """The managed peers by host, each with a tunnel that works."""
    found = {host: lab.peer(id_, host) for host, id_ in IDS.items()}
    lab.wake(list(found.values()))
    return found


@pytest.fixture(scope="session", autouse=True)
def strangers(lab: Lab) -> Iterator[Callable[[], tuple[str, str]]]:
    """Strangers on the hub from the first test to the last; the call returns how they looked then, and look now."""
    script = (ROOT / "molecule/isolation/strangers.sh").read_text()

    def call(word: str) -> str:
        return lab.sh(HUB, f"bash -s {word}", stdin=script)

    call("make")
    before = call("show")
    yield lambda: (before, call("show"))
    call("remove")
