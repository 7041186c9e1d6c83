# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a fixture of every scenario's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import proof  # noqa: E402
from labnet import ROOT, Lab  # noqa: E402

pytest_configure = proof.pytest_configure
pytest_collection_modifyitems = proof.pytest_collection_modifyitems


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab with the scenario's network on it, which molecule has deployed."""
    scenario = Path(str(request.config.invocation_params.dir)).name
    own = ROOT / "molecule" / "inventories" / scenario
    return Lab(own if own.is_dir() else ROOT / "inventories" / "lab", tmp_path_factory.mktemp("lab"))
