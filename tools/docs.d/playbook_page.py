# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about the playbooks: what each does, which variables steer it, and what it writes as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import example
import yaml
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler import judge, overview
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.guards import REMOVED_PEERS_LIMIT
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.parse import RUN_VARIABLES
from page import HERE, ROOT, code, fill, table

_ARTIFACT = re.compile(r"self\.artifact\(\s*\"([a-z_.]+)\"")
_ROLE = re.compile(r"name: tenantnet\.wireguard\.(\w+)\n(?:\s+tasks_from: (\w+))?")
_ACTION = re.compile(r"^\s+(?:- )?tenantnet\.wireguard\.(\w+):", re.MULTILINE)

# Read by an action that the playbook runs, but not in the way that it runs it.
_WITHOUT_EFFECT = {("site", "wireguard_query")}
# The tenant of the example that the samples are about.
_TENANT = "acme"


def page() -> str:
    """Return the page."""
    samples = {"plan": _plan(), "verify": _verify()}
    parts = {"playbooks": _playbooks(), "variables": _variables(), "removed-peers": str(REMOVED_PEERS_LIMIT)}
    for name, sample in samples.items():
        parts[f"{name}-keys"] = _keys(f"{name}.json", sample)
        parts[f"{name}-sample"] = code(json.dumps(sample, indent=1), "json")
    return fill("playbooks.md", parts)


def _playbooks() -> str:
    """Return what each playbook says of itself, what it reads and what it writes."""
    rows = []
    for path in _files():
        written = sorted({name for text in _texts(path) for name in _ARTIFACT.findall(text)})
        rows.append((f"`{path.stem}`", _about(path), ", ".join(f"`{name}`" for name in written) or "none"))
    return table(("playbook", "what it does", "writes"), rows)


def _files() -> list[Path]:
    """Return the playbooks, site first."""
    return sorted(ROOT.glob("playbooks/*.yml"), key=lambda path: (path.stem != "site", path.stem))


def _about(path: Path) -> str:
    """Return the comment at a playbook's head as one paragraph."""
    lines = path.read_text(encoding="utf-8").split("---", 1)[0].splitlines()
    return " ".join(line.lstrip("# ") for line in lines if not line.startswith("# SPDX")).strip()


def _texts(path: Path) -> Iterator[str]:
    """Yield what a playbook runs on the controller: itself, its roles' tasks, its actions and what they rest on."""
    tasks = path.read_text(encoding="utf-8")
    yield tasks
    actions = set(_ACTION.findall(tasks))
    for role, tasks_from in _ROLE.findall(tasks):
        entry = ROOT / f"roles/{role}/tasks/{tasks_from or 'main'}.yml"
        for file in [
            entry,
            *(entry.parent / name for name in re.findall(r"import_tasks: (\w+\.yml)", entry.read_text())),
        ]:
            text = file.read_text(encoding="utf-8")
            yield text
            actions |= set(_ACTION.findall(text))
    for action in sorted(actions):
        plugin = ROOT / f"plugins/action/{action}.py"
        if plugin.exists():
            yield plugin.read_text(encoding="utf-8")
    for file in sorted(ROOT.glob("plugins/plugin_utils/boundary/*.py")):
        yield file.read_text(encoding="utf-8")


def _variables() -> str:
    """Return the variables that steer a run, each with the playbooks whose code reads it."""
    readers: dict[str, list[str]] = {name: [] for name in RUN_VARIABLES}
    for path in _files():
        read = {word for text in _texts(path) for word in re.findall(r"\bwireguard_\w+", text)}
        for name in readers:
            if name in read and (path.stem, name) not in _WITHOUT_EFFECT:
                readers[name].append(f"`{path.stem}`")
    rows = [(f"`{name}`", ", ".join(readers[name]) or "none", about) for name, about in RUN_VARIABLES.items()]
    return table(("variable", "read by", "meaning"), rows)


def _plan() -> dict[str, Any]:
    """Return a plan.json of the example, cut to one entry of each list: the first that is about one tenant."""
    plan = example.compiled()["overview"]
    found = overview.changes(example.compiled(with_more=False)["overview"], plan)
    cut: dict[str, Any] = {
        key: [item for item in value if _TENANT in json.dumps(item)][:1] if isinstance(value, list) else value
        for key, value in plan.items()
    }
    return {**cut, "changes": found[:1], "changes_reason": None}


def _verify() -> dict[str, Any]:
    """Return a verify.json of two of the example's probes, both as the policies want it."""
    host, probes = next((host, own) for host, own in example.compiled()["probes"].items() if host == "web1")
    chosen = [
        next(probe for probe in probes if probe["to"] == "shared/services/db1" and probe["expected"] == expected)
        for expected in ("accepted", "denied")
    ]
    flows = [(each["protocol"], each["source"], each["address"], each["port"]) for each in chosen]
    entered = [("any", "in", 4, *flow) for flow in flows]
    left = [("any", "out", 4, *flows[0])]
    sightings = judge.Sightings({"hub1": entered + left}, {"db1": [("any", "in", 4, *flows[0])]})
    answers = {
        chosen[0]["id"]: {"answer": "syn-ack", "by": chosen[0]["address"]},
        chosen[1]["id"]: {"answer": "none", "by": None},
    }
    # Somebody has to own the target's address: its own first probe says who.
    owner = {"db1": [probe for probe in example.compiled()["probes"]["db1"] if probe["family"] == 4][:1]}
    results = judge.judge({host: chosen, **owner}, {host: answers}, sightings, ())
    shown = [result for result in results if result["from"] == chosen[0]["peer"]]
    if not all(result["agrees"] for result in shown):
        raise ValueError(f"the probes of the example disagree: {shown}")
    return {"schema_version": judge.SCHEMA_VERSION, "probes": shown}


def _keys(name: str, sample: Mapping[str, Any]) -> str:
    """Return a table of an artifact's keys; each that is there has a meaning, and each meaning a key."""
    meanings: dict[str, str] = yaml.safe_load((HERE / "artifacts.yml").read_text(encoding="utf-8"))[name]
    found = list(dict.fromkeys(_paths(sample)))
    if set(found) != set(meanings):
        raise ValueError(f"artifacts.yml: {name}: differs in {sorted(set(found) ^ set(meanings))}")
    return table(("key", "meaning"), [(f"`{path}`", meanings[path]) for path in found])


def _paths(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of an artifact; what a change was and will be differs by its kind and is not listed."""
    for key, value in data.items():
        yield f"{prefix}{key}"
        for item in value if isinstance(value, list) else ():
            if isinstance(item, Mapping):
                yield from _paths(item, f"{prefix}{key}[].")
