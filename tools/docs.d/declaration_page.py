# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about the declaration: an example that compiles, every key, and what the compiler says of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import example
import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.grants import PAIR_LIMIT
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
_ALL = "Set by who runs the fabric."
_PIECES = "Set by who runs the fabric, or in a piece by who looks after a tenant."
# The classes of the model in the order of the page, each with its heading and who may set it.
_SECTIONS = {
    "wireguard": ("The fabric", "Set in `group_vars` that every hub has."),
    "management": ("wireguard_management", _ALL),
    "tenants": ("wireguard_tenants, each item", _PIECES),
    "segments": ("segments of a tenant, each item", "Set where the tenant is."),
    "peers": ("peers of a segment or of management, each item", "Set where the segment is."),
    "services": ("wireguard_services, each item", _PIECES),
    "policies": ("wireguard_policies, each item", _PIECES),
    "policy_tests": ("wireguard_policy_tests, each item", _PIECES),
    "revoked": ("wireguard_revoked, each item", _PIECES),
}
# What the model says of a key that is read and has no effect.
_NOT_YET = "not applied yet"


def page() -> str:
    """Return the page."""
    return fill(
        "declaration.md",
        {
            "example": _example(),
            "keys": _keys(),
            "kinds": _kinds(),
            "hub-variables": _hub_variables(),
            "joined": "\n".join(f"- `{PREFIX}{name}`" for name in JOINED),
            "pair-limit": f"{PAIR_LIMIT:,}",
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
    models = classes()
    if set(models) != set(_SECTIONS):
        raise ValueError(f"sections {sorted(_SECTIONS)}, and the model has {sorted(models)}")
    parts = []
    for name, (heading, setter) in _SECTIONS.items():
        rows = [_row(key, PREFIX if name == "wireguard" else "") for key in keys_of(models[name])]
        parts += [f"### {heading}", f"{_sentence(models[name])}\n{setter}"]
        parts.append(table(("key", "type", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _sentence(model: type) -> str:
    """Return what a class of the model says it is: its first sentence."""
    return (model.__doc__ or "").split("\n")[0].replace("``", "`")


def _row(key: Key, prefix: str) -> tuple[str, str, str, str]:
    """Return the row of one key."""
    kind = key.option.kind + (f", {key.bounds}" if key.bounds else "")
    if key.option.required:
        default = "required"
    elif key.default is None:
        default = "none"
    else:
        default = f"`{str(key.default).lower() if isinstance(key.default, bool) else key.default}`"
    if is_acted_on(key) == (_NOT_YET in key.option.doc):
        raise ValueError(
            f"{prefix}{key.name}: its description must say {_NOT_YET!r} exactly as long as nothing uses it"
        )
    return f"`{prefix}{key.name}`", kind, default, key.option.doc


def _kinds() -> str:
    """Return what each kind of value looks like, as its reader asks for it."""
    forms: dict[str, str] = {}
    for model in classes().values():
        for key in keys_of(model):
            if key.nested is None and not key.choices and key.argument_type != "int":
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
    return "No playbook of this version hands a generated peer over, so none of them is let in yet."


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
