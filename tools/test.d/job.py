# SPDX-License-Identifier: GPL-3.0-or-later
"""What every stage needs: commands with a log, a clean copy of the tree, the Pythons of this machine."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "test"
LOGS = CACHE / "logs"
# Python versions that ansible-core knows, on managed hosts or on the controller.
PYTHONS = [f"3.{minor}" for minor in range(8, 15)]


class Failure(Exception):
    """A stage has failed; the text says why, in one line."""


class Job:
    """The commands of one stage, run one after the other into one log.

    A failed command doesn't end the stage: all that is wrong is shown at once.
    """

    def __init__(self, name: str, live: bool) -> None:
        self.name = name
        self.live = live
        self.failed: list[str] = []
        self._log = (LOGS / f"{name}.log").open("w", encoding="utf-8", errors="replace")

    def say(self, text: str) -> None:
        """Write a line to the log."""
        self._log.write(text + "\n")
        self._log.flush()
        if self.live:
            print(text, flush=True)

    def run(
        self,
        title: str,
        command: Sequence[str | Path],
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command, log what it says, remember whether it failed; returns its output."""
        words = [str(word) for word in command]
        shown = shlex.join(words)
        self.say(f"$ {shown if len(shown) < 400 else shown[:400] + ' ...'}")
        lines = []
        with subprocess.Popen(
            words,
            cwd=cwd,
            env={**environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                self.say(line.rstrip("\n"))
                lines.append(line)
        if process.returncode:
            self.fail(f"{title} (exit {process.returncode})")
        return "".join(lines)

    def fail(self, text: str) -> None:
        """Remember a failure and go on."""
        self.say(f"FAILED: {text}")
        self.failed.append(text)

    def need(self, *programs: str) -> None:
        """Stop the stage where a program is missing: what can't run must not look as if it had."""
        missing = [program for program in programs if not shutil.which(program, path=environment()["PATH"])]
        if missing:
            self.fail(f"not installed: {', '.join(missing)} (tools/setup installs what the tests need)")
            self.check()

    def check(self) -> None:
        """End the stage here if anything in it has failed."""
        if self.failed:
            raise Failure("; ".join(self.failed))

    def close(self) -> None:
        """Close the log."""
        self._log.close()


@functools.cache
def interpreters() -> dict[str, str]:
    """Find the Pythons of this machine that really start, by version.

    A pyenv shim is on the path for versions that it then refuses to run, so each is tried, and pyenv's own
    folders are looked into as well.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # ansible-test makes virtual environments of them.
    probe = "import ensurepip, venv"
    found = {}
    for version in PYTHONS:
        name = f"python{version}"
        places = [Path(folder) / name for folder in search_path()]
        places += sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))
        for place in places:
            if place.exists() and not subprocess.run([place, "-c", probe], capture_output=True, check=False).returncode:
                found[version] = str(place)
                break
    return found


def search_path() -> list[str]:
    """Return the search path without pyenv's shims, this environment's tools first."""
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    return [str(Path(sys.prefix) / "bin"), *(folder for folder in folders if Path(folder).name != "shims")]


@functools.cache
def environment() -> dict[str, str]:
    """Return the environment of every command."""
    others = [os.path.dirname(place) for place in interpreters().values()]
    path = [*search_path(), *(folder for folder in others if folder not in search_path())]
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        # One line is one line, wherever it runs.
        "COLUMNS": "160",
        "NO_COLOR": "1",
        "PY_COLORS": "0",
        "PYTHONUNBUFFERED": "1",
        "PIP_QUIET": "1",
    }


def files(*patterns: str) -> list[str]:
    """List the files of the project, tracked or about to be, by git's patterns."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and os.path.lexists(ROOT / name))


def scripts(interpreter: str, suffix: str) -> list[str]:
    """List the files with this suffix or with a first line that names this interpreter."""
    shebang = re.compile(rb"#!.*\b" + interpreter.encode() + rb"[\d.]*\b")
    named = []
    for name in files():
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == suffix:
            named.append(name)
        elif not path.suffix:
            with path.open("rb") as stream:
                if shebang.match(stream.readline()):
                    named.append(name)
    return named


def copy_tree(name: str) -> Path:
    """Copy the project's files to where ansible-test wants to stand, and return that folder.

    It must be a git checkout below ansible_collections/NAMESPACE/NAME, and a link's real path counts. What
    ansible-test keeps under tests/output (virtual environments) stays from run to run.
    """
    tree = CACHE / "trees" / name / "ansible_collections" / "tenantnet" / "wireguard"
    tree.mkdir(parents=True, exist_ok=True)
    for entry in tree.iterdir():
        if entry.name == "tests":
            for below in entry.iterdir():
                if below.name != "output":
                    remove(below)
        else:
            remove(entry)
    for file in files():
        # The link that stands in for this very place in a checkout.
        if not file.startswith(".collections/"):
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, tree / file, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    (tree / ".git" / "info" / "exclude").write_text("/tests/output/\n", encoding="utf-8")
    subprocess.run(["git", "add", "--all"], cwd=tree, check=True)
    return tree


def remove(path: Path) -> None:
    """Remove a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def prepare_ansible_test() -> None:
    """Let ansible-test make its virtual environments without the pip script that it would download.

    Python brings pip along; a script already in its cache is left alone.
    """
    package = find_spec("ansible_test")
    if package is None or not package.submodule_search_locations:
        raise Failure("ansible-test is not installed: run tools/setup")
    source = Path(package.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
    for version in set(re.findall(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8"))):
        script = Path.home() / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
        if not script.exists():
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text("import ensurepip\n\nensurepip.bootstrap(upgrade=True)\n", encoding="utf-8")
