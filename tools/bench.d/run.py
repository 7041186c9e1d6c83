# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler and the way of the plan cost, beside what they must not exceed.

Times on a shared machine are noisy, so everything is measured side by side, alternating, and told as a ratio
of medians. Processor seconds are those of the whole process group, forks included.
"""

from __future__ import annotations

import datetime
import importlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from declaration import declaration

ROOT = Path(__file__).resolve().parents[2]
HUBS = 3
TASKS = 10
ROUNDS = 5
# The budgets of the design, as upper bounds.
COMPILE_BUDGET = 1.0
BOUNDARY_BUDGET = 0.25
TASK_BUDGET = 0.2


def main() -> int:
    """Measure, print a table, and return how many budgets are exceeded."""
    tenants, peers = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (500, 20)
    print(f"{tenants} tenants x {peers} peers, {HUBS} hubs, medians of {ROUNDS} alternating rounds")
    rows = [*compiler(tenants, peers), *way_of_the_plan(tenants, peers)]
    for name, value, unit, budget in rows:
        verdict = "" if budget is None else f"budget {budget:.2f}: {'kept' if value <= budget else 'EXCEEDED'}"
        print(f"  {name:<66} {value:8.3f} {unit:<12} {verdict}")
    return sum(budget is not None and value > budget for _name, value, _unit, budget in rows)


Row = tuple[str, float, str, float | None]


def medians(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Run each piece of work in turn, again and again; return the median of its processor seconds."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _round in range(ROUNDS):
        for name, function in work.items():
            begin = processor_seconds()
            function()
            taken[name].append(processor_seconds() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def processor_seconds() -> float:
    """Return the processor time of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def compiler(tenants: int, peers: int) -> list[Row]:
    """Compare the compiler and the boundary with parsing the same YAML by libyaml."""
    sys.path.insert(0, str(ROOT / ".collections"))
    base = "ansible_collections.tenantnet.wireguard.plugins.plugin_utils"
    compile_module = importlib.import_module(f"{base}.compiler.compile")
    problems = importlib.import_module(f"{base}.compiler.problems")
    values = importlib.import_module(f"{base}.boundary.values")
    loader = importlib.import_module("ansible.parsing.dataloader").DataLoader()
    variables = declaration(tenants, peers)
    text = yaml.dump(variables, Dumper=yaml.CSafeDumper)
    today = datetime.date(2026, 1, 1)
    hubs: dict[str, object] = {"hub1": ({}, None)}
    raw = loader.load(text)

    def compile_plan(record: object) -> dict[str, str]:
        result: dict[str, str] = compile_module.compile_declaration(
            compile_module.Declaration(variables, hubs, [], record, today)
        )
        return result

    wrapped = yaml.load(compile_plan(None)["record"], Loader=yaml.CSafeLoader)
    record = yaml.load(wrapped["all"]["vars"]["wireguard_allocation_record"], Loader=yaml.CSafeLoader)
    took = medians(
        {
            "parse": lambda: yaml.load(text, Loader=yaml.CSafeLoader),
            "compile": lambda: compile_plan(record),
            "boundary": lambda: values.plain(raw, ("bench",), None, problems.Problems()),
        }
    )
    return [
        ("parse the same YAML with libyaml", took["parse"], "CPU seconds", None),
        ("compile a plan from plain data / that", took["compile"] / took["parse"], "", COMPILE_BUDGET),
        ("boundary / that", took["boundary"] / took["parse"], "", BOUNDARY_BUDGET),
    ]


PLAY = """\
- hosts: wireguard_hubs
  gather_facts: false
  tasks:
{tasks}"""


def way_of_the_plan(tenants: int, peers: int) -> list[Row]:
    """Measure a task of ours above one that does nothing, on hubs that are this machine, changing nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "group_vars").mkdir()
        variables = declaration(tenants, peers)
        for number, tenant in enumerate(variables["wireguard_tenants"]):
            tenant["hub"] = "hub1" if tenant["name"] == "shared" else f"hub{number % HUBS + 1}"
        # Hubs are not joined yet: the shared service is used on its own hub only.
        variables["wireguard_policies"] = variables["wireguard_policies"][::HUBS]
        with open(folder / "group_vars" / "all.yml", "w", encoding="utf-8") as file:
            yaml.dump(variables, file, Dumper=yaml.CSafeDumper)
        hosts = "\n".join(f"hub{number + 1} ansible_connection=local" for number in range(HUBS))
        (folder / "hosts.ini").write_text(f"[wireguard_hubs]\n{hosts}\n", encoding="utf-8")
        plays = {
            "none": "",
            "no-op": "    - ansible.builtin.debug:\n        msg: nothing\n",
            "plan": "    - tenantnet.wireguard.summary:\n",
        }
        for play, task in plays.items():
            tasks = task * TASKS or "    []\n"
            (folder / f"{play}.yml").write_text(PLAY.format(tasks=tasks), encoding="utf-8")

        def run(play: str) -> None:
            command = ["ansible-playbook", "-i", str(folder / "hosts.ini"), "--check", str(folder / f"{play}.yml")]
            environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "CI": ""}
            done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{play}: {done.stdout}\n{done.stderr}")

        begin = time.monotonic()
        took = medians({play: partial(run, play) for play in plays})
        print(f"  (the way of the plan took {time.monotonic() - begin:.0f} s to measure)")
    per_task = (took["plan"] - took["no-op"]) / (TASKS * HUBS)
    return [
        ("ansible-playbook, inventory loaded and no task", took["none"], "CPU seconds", None),
        ("a task of ours above a no-op, for each task and host", per_task, "CPU seconds", TASK_BUDGET),
    ]


if __name__ == "__main__":
    sys.exit(main())
