# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiler is pure: standard library only, no Ansible, no files, no processes, no clock, no environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils import compiler

FOLDER = Path(next(iter(compiler.__path__)))
FILES = sorted(FOLDER.glob("*.py"))
# What the compiler may import; each is free of effects, or only its pure part is used (see CALLS).
MODULES = {
    "__future__", "base64", "binascii", "collections", "collections.abc", "dataclasses", "datetime", "difflib", "enum",
    "functools", "hashlib", "ipaddress", "itertools", "json", "re", "socket", "typing",
}  # fmt: skip
# Of these modules only these names: inet_pton reads an address and opens nothing.
NAMES = {"socket": {"inet_pton", "AF_INET", "AF_INET6"}, "json": {"dumps", "loads"}}
# Reads the clock, the outside or itself, whatever it is called on.
CALLS = {
    "open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "globals", "now",
    "utcnow", "today",
    "fromtimestamp", "read_text", "write_text", "read_bytes", "write_bytes", "getenv", "system", "popen",
    "Popen", "sleep",
    "getaddrinfo", "gethostbyname", "connect", "urandom", "random", "token_hex",
}  # fmt: skip


def offences(source: str) -> Iterator[str]:
    """Yield what a pure module may not contain."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line}: import {each.name}" for each in node.names if each.name not in MODULES)
        elif isinstance(node, ast.ImportFrom):
            # `from .x import y` stays inside; two dots would leave.
            if node.level > 1 or (not node.level and node.module not in MODULES):
                yield f"{line}: from {'.' * node.level}{node.module or ''} import"
            if node.module in NAMES and not node.level:
                yield from (f"{line}: {each.name}" for each in node.names if each.name not in NAMES[node.module])
        elif isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.attr not in NAMES.get(node.value.id, {node.attr}):
                yield f"{line}: {node.value.id}.{node.attr}"
            of_re = isinstance(node.value, ast.Name) and node.value.id == "re"
            # `declaration.today` is an input; calling it would be a clock.
            if node.attr in CALLS and not of_re and (node.attr != "today" or _is_called(node, source)):
                yield f"{line}: .{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"{line}: {node.func.id}()"
        elif isinstance(node, ast.Assert):
            yield f"{line}: assert is gone under -O"
        elif isinstance(node, ast.Global):
            yield f"{line}: global"


def _is_called(attribute: ast.Attribute, source: str) -> bool:
    """Tell whether an attribute is called somewhere."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and ast.dump(call) == ast.dump(attribute) for call in calls)


def test_there_is_a_compiler_to_look_at():
    assert len(FILES) > 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_module_is_pure(file: Path):
    assert list(offences(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os", "import ansible", "from ansible.errors import AnsibleError", "import subprocess", "import time",
        "from ..boundary import values", "from pathlib import Path", "import socket\nsocket.create_connection(())",
        "from socket import socket", "open('x')", "datetime.datetime.now()", "datetime.date.today()", "x.read_text()",
        "import yaml", "import random", "def f():\n    import os", "print(1)", "assert x", "import json\njson.load(f)",
        "eval('1')", "import netaddr",
    ],
)  # fmt: skip
def test_what_is_not_pure_is_found(source: str):
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "from .addresses import Prefix", "from . import kinds", "import re\nX = re.compile('x')",
        "f(declaration.today)",
        "datetime.date.fromisoformat('2027-03-01')", "import socket\nsocket.inet_pton(socket.AF_INET, 'x')",
    ],
)  # fmt: skip
def test_what_is_pure_is_not(source: str):
    assert not list(offences(source))
