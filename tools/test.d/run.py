# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's checks in stages, each with a log of its own, and end with a table.

The stages that only compute run side by side; those that build networks run one at a time after them, so that
nothing disturbs their clocks.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from job import CACHE, LOGS, Failure, Job, environment
from stages import changelog, galaxy, lint, molecule, netns, py38, sanity, types, units


@dataclass(frozen=True)
class Stage:
    """One row of the table."""

    run: Callable[[Job], str]
    alone: bool = False

    @property
    def name(self) -> str:
        """What the stage is called on the command line."""
        return self.run.__name__

    @property
    def heading(self) -> str:
        """What the stage checks, in one line."""
        return (self.run.__doc__ or "").splitlines()[0]


@dataclass(frozen=True)
class Outcome:
    """What came of a stage."""

    stage: Stage
    passed: bool
    seconds: float
    note: str


# The longest first, so that none of them is left running by itself at the end.
STAGES = {
    stage.name: stage
    for stage in (
        Stage(sanity),
        Stage(units),
        Stage(galaxy),
        Stage(lint),
        Stage(py38),
        Stage(types),
        Stage(changelog),
        Stage(netns, alone=True),
        Stage(molecule, alone=True),
    )
}


def main() -> int:
    """Run the stages asked for, or all, and tell how they went."""
    stages, jobs = parse_arguments()
    LOGS.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    environment()  # found once, before the threads all look for it
    together = [stage for stage in stages if not stage.alone]
    outcomes: list[Outcome] = []
    # A single stage is watched as it runs; several at once would be a jumble.
    live = len(stages) == 1
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run_stage, stage, live) for stage in together]):
            outcomes.append(report(future.result(), live))
    for stage in stages:
        if stage.alone:
            outcomes.append(report(run_stage(stage, live), live))
    print_table(stages, outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def parse_arguments() -> tuple[list[Stage], int]:
    """Read the command line: the stages in their order, and how many run side by side."""
    listed = "\n".join(f"  {stage.name:<10} {stage.heading}" for stage in STAGES.values())
    parser = argparse.ArgumentParser(
        prog="tools/test",
        description="Run the project's checks. Without a stage: all of them, as CI does.",
        epilog=f"stages:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", nargs="*", help="the stages to run")
    parser.add_argument("-j", "--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="stages side by side")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.stage if name not in STAGES]
    if unknown:
        parser.error(f"no such stage: {', '.join(unknown)} (there are {', '.join(STAGES)})")
    return [stage for stage in STAGES.values() if not arguments.stage or stage.name in arguments.stage], arguments.jobs


def run_stage(stage: Stage, live: bool) -> Outcome:
    """Run one stage and time it; whatever goes wrong in it is its failure, not the run's."""
    sys.stdout.write(f"-- {stage.name}: {stage.heading}\n")  # in one piece: stages start from threads
    sys.stdout.flush()
    started = time.monotonic()
    job = Job(stage.name, live)
    try:
        note = stage.run(job)
        job.check()
        passed = True
    except Failure as failure:
        note, passed = str(failure), False
    except Exception as error:  # a stage that crashes must not take the others' results with it
        job.say(f"{type(error).__name__}: {error}")
        note, passed = f"{type(error).__name__}: {error}", False
    finally:
        job.close()
    return Outcome(stage, passed, time.monotonic() - started, note)


def report(outcome: Outcome, live: bool) -> Outcome:
    """Say how a stage ended; a failed one shows its whole log, unless it was watched."""
    log = LOGS / f"{outcome.stage.name}.log"
    if not outcome.passed and not live:
        print(f"\n==== {outcome.stage.name} failed, its log ({os.path.relpath(log)}):")
        print(log.read_text(encoding="utf-8", errors="replace"), end="")
        print(f"==== end of the log of {outcome.stage.name}\n")
    print(f"{verdict(outcome)} {outcome.stage.name} ({outcome.seconds:.0f} s)", flush=True)
    return outcome


def verdict(outcome: Outcome) -> str:
    """Name the result in four letters, so that columns stay columns."""
    return "ok  " if outcome.passed else "FAIL"


def print_table(stages: list[Stage], outcomes: list[Outcome]) -> None:
    """Print one line for each stage and the count as the last line."""
    print(f"\n{'':4} {'stage':<10} {'time':>7}  what ran")
    for outcome in sorted(outcomes, key=lambda outcome: stages.index(outcome.stage)):
        print(f"{verdict(outcome)} {outcome.stage.name:<10} {outcome.seconds:>5.0f} s  {outcome.note}")
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"Logs: {os.path.relpath(LOGS)}/")
    print(f"{passed} passed, {len(outcomes) - passed} failed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
