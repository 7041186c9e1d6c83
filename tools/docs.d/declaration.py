# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about the declaration: an example that compiles, every key, and what the compiler says of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import example
import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import HUB_VARIABLES, JOINED, PREFIX
from keys import Key, classes, is_acted_on, keys_of
from page import HERE, ROOT, code, fill, table

# Of kinds whose readers ask for one of several forms, and of those that say more than a form.
_FORMS = {
    "list of addresses": "IPv4 or IPv6 addresses without a length",
    "date": "a date such as 2027-03-01, quoted or not. It ends at 00:00 UTC of that day",
    "list of selectors": "see [selectors](#selectors)",
    "selector": "see [selectors](#selectors)",
    "list of targets": "see [policy tests](#policy-tests)",
    "list of ports": "see [ports](#ports)",
    "tenant/segment/peer": "the names of a tenant, its segment and the peer, with slashes",
}
_TITLES = {
    "wireguard": "The fabric",
    "management": "wireguard_management",
    "tenants": "wireguard_tenants, each item",
    "segments": "segments of a tenant, each item",
    "peers": "peers of a segment, each item",
    "services": "wireguard_services, each item",
    "policies": "wireguard_policies, each item",
    "policy_tests": "wireguard_policy_tests, each item",
    "revoked": "wireguard_revoked, each item",
}
_NOT_YET = "**Read, and not acted on yet.**"


def page() -> str:
    """Return the page."""
    return fill(
        "declaration.md",
        {
            "example": _example(),
            "keys": _keys(),
            "kinds": _kinds(),
            "hub-variables": _hub_variables(),
            "joined": ", ".join(f"`{PREFIX}{name}`" for name in JOINED),
            "generated-peers": _generated_peers(),
            "small": code(_shown(example.SMALL), "yaml"),
            "mistakes": _mistakes(),
        },
    )


def _example() -> str:
    """Return the files of the example, which compile and whose policy tests pass."""
    example.compiled()
    blocks = []
    for path in example.files():
        name = path.relative_to(ROOT / "inventories/lab" if "inventories" in path.parts else HERE / "example")
        blocks += [f"`{name}`", code(_shown(path), "yaml")]
    return "\n\n".join(blocks)


def _shown(path: Path) -> str:
    """Return the text of a file without its head."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line != "---" and not line.startswith("# SPDX"))


def _keys() -> str:
    """Return a table of the keys of each class of the model."""
    parts = []
    for name, model in classes().items():
        variables = name == "wireguard"
        rows = [_row(key, PREFIX if variables else "") for key in keys_of(model)]
        parts += [f"### {_TITLES[name]}", _sentence(model), table(("key", "type", "default", "meaning"), rows)]
    return "\n\n".join(parts)


def _sentence(model: type) -> str:
    """Return what a class of the model says it is: its first sentence."""
    return (model.__doc__ or "").split("\n")[0]


def _row(key: Key, prefix: str) -> tuple[str, str, str, str]:
    """Return the row of one key."""
    kind = key.option.kind + (f", {key.bounds}" if key.bounds else "")
    if key.option.required:
        default = "required"
    elif key.default is None:
        default = "none"
    else:
        default = f"`{str(key.default).lower() if isinstance(key.default, bool) else key.default}`"
    meaning = key.option.doc + ("" if is_acted_on(key) else f" {_NOT_YET}")
    return f"`{prefix}{key.name}`", kind, default, meaning


def _kinds() -> str:
    """Return what each kind of value looks like, as its reader asks for it."""
    forms: dict[str, str] = {}
    for model in classes().values():
        for key in keys_of(model):
            if key.nested is None and not key.choices and key.type != "int":
                form = key.form.removeprefix("write ").removeprefix("use ")
                forms.setdefault(key.option.kind, _FORMS.get(key.option.kind, form))
    return table(("type", "what it is"), sorted(forms.items()))


def _hub_variables() -> str:
    """Return the table of what is declared per hub."""
    return table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in HUB_VARIABLES.items()])


def _generated_peers() -> str:
    """Say what becomes of a generated peer, as long as nothing hands its configuration over."""
    if (ROOT / "playbooks/client_configs.yml").exists():
        return "A generated peer's configuration is handed over by the playbook `client_configs`."
    return (
        "No playbook of this version makes the key pair of a generated peer. Its name and addresses are allocated, and\n"
        "`site` reports it as pending and ends non-zero."
    )


def _mistakes() -> str:
    """Return mistakes with what the compiler says of them."""
    cases: list[dict[str, Any]] = yaml.safe_load((HERE / "mistakes.yml").read_text(encoding="utf-8"))
    parts = []
    for case in cases:
        lines = example.errors({**example.small(), **(yaml.safe_load(case["write"]) or {})}, case.get("hubs"))
        if not lines:
            raise ValueError(f"mistakes.yml: {case['about']!r} is no mistake")
        parts += [f"{case['about']}:", code(case["write"], "yaml"), code("\n".join(lines))]
    return "\n\n".join(parts)
