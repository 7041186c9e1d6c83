# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages. A function is a stage, its first line the heading, and what it returns says what ran."""

from __future__ import annotations

import os
import re
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

from job import CACHE, ROOT, Job, copy_tree, environment, files, interpreters, prepare_ansible_test, scripts

# The project's own place among collections: mypy names modules by it, as imports do.
COLLECTION = ".collections/ansible_collections/tenantnet/wireguard"
# Code that runs on managed hosts, and the oldest Python there.
TARGET_SIDE = ["plugins/module_utils", "plugins/modules"]
OLDEST = "3.8"
# Where docs/invariants.md finds what came of the tests.
RESULTS = ROOT / ".cache" / "results"
# All that an artifact may hold at its top.
SHIPPED = {"MANIFEST.json", "FILES.json", "README.md", "CHANGELOG.md", "LICENSE"}
SHIPPED |= {"meta", "plugins", "roles", "playbooks", "docs"}


def lint(job: Job) -> str:
    """ruff, yamllint, ansible-lint (production, nothing skipped), shellcheck, generated documentation"""
    job.need("ruff", "yamllint", "ansible-lint", "shellcheck")
    job.run("ruff check", ["ruff", "check", "--output-format", "concise", "."])
    job.run("ruff format", ["ruff", "format", "--check", "."])
    job.run("yamllint", ["yamllint", "--strict", "--format", "parsable", *files("*.yml", "*.yaml", ".yamllint")])
    job.run("ansible-lint", ["ansible-lint", "--offline", "--nocolor", "--format", "pep8", "--strict"])
    shell = scripts("(?:ba|da|)sh", ".sh")
    job.run("shellcheck", ["shellcheck", "--format", "gcc", *shell])
    job.run("docs", ["tools/docs", "--check"])
    job.run("invariants", ["tools/invariants", "--check"])
    for name in (".ansible-lint-ignore", ".config/ansible-lint-ignore.txt"):
        if (ROOT / name).exists():
            job.fail(f"{name} exists: fix what it hides")
    return f"ruff, yamllint, ansible-lint, shellcheck of {len(shell)} scripts"


def types(job: Job) -> str:
    """mypy: strict on the compiler and the drivers, normal on the rest"""
    job.need("mypy")
    mypy = ["mypy", "--cache-dir", str(CACHE / "mypy")]
    strict = [f"{COLLECTION}/plugins/{part}" for part in ("plugin_utils", "module_utils")]
    job.run("mypy --strict", [*mypy, "--strict", *strict])
    job.run("mypy plugins", [*mypy, f"{COLLECTION}/plugins"])
    # Programs, not one package: each is checked from the folder that it imports its own modules from.
    bases: dict[Path, list[str]] = {}
    for name in files("lab/*.py", "tools/*.py"):
        base = Path(name).parent
        while (ROOT / base / "__init__.py").exists():
            base = base.parent
        bases.setdefault(base, []).append(name)
    for base, programs in sorted(bases.items()):
        job.run(f"mypy {base}", [*mypy, *programs], env={"MYPYPATH": str(base)})
    return f"strict: plugin_utils, module_utils; normal: plugins, {', '.join(map(str, sorted(bases)))}"


def sanity(job: Job) -> str:
    """ansible-test sanity, with no ignore file"""
    tree = copy_tree("sanity")
    prepare_ansible_test()
    for file in files("tests/sanity/ignore*"):
        job.fail(f"{file} exists: fix what it hides")
    said = job.run("ansible-test sanity", ["ansible-test", "sanity", "--local", "--color", "no"], cwd=tree)
    ran = sorted(set(re.findall(r'^Running sanity test "([\w-]+)"', said, re.MULTILINE)))
    skipped = re.findall(r'Skipping sanity test "([\w-]+)" on Python ([\d.]+)', said)
    note = f"{len(ran)} tests, Python {', '.join(sorted(interpreters(), key=version_key))}"
    if skipped:
        tests, versions = ({row[column] for row in skipped} for column in (0, 1))
        absent = ", ".join(sorted(versions, key=version_key))
        note += f"; {', '.join(sorted(tests))} not on {absent}: not on this machine"
    return note


def units(job: Job) -> str:
    """tests/unit, by pytest and by ansible-test"""
    parallel = ["-n", str(os.cpu_count() or 1)] if find_spec("xdist") else []
    options = ["-o", f"cache_dir={CACHE / 'pytest'}", f"--junit-xml={RESULTS / 'units.xml'}"]
    plain = job.run("pytest", ["pytest", "-q", *parallel, *options, "tests/unit"])
    tree = copy_tree("units")
    prepare_ansible_test()
    # The environment in use has what the tests need; the collection's own boundaries are ansible-test's to enforce:
    # tests of target-side code can't import the controller's.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = ["ansible-test", "units", "--local", "--python", version, "--color", "no"]
    said = job.run("ansible-test units", command, cwd=tree)
    return f"pytest: {counts(plain)}; ansible-test: {counts(said)}"


def py38(job: Job) -> str:
    """target-side code on the oldest Python of managed hosts"""
    job.need("vermin")
    job.run("vermin", ["vermin", "--no-tips", "--violations", f"--target={OLDEST}-", *TARGET_SIDE])
    note = f"vermin {OLDEST}"
    if OLDEST not in interpreters():
        return f"{note} only: this machine has no Python {OLDEST} to run the unit tests with"
    tree = copy_tree("py38")
    prepare_ansible_test()
    command = ["ansible-test", "units", "--venv", "--python", OLDEST, "--color", "no"]
    said = job.run(f"units on Python {OLDEST}", command, cwd=tree)
    return f"{note}; unit tests of target-side code on {OLDEST}: {counts(said)}"


def galaxy(job: Job) -> str:
    """the artifact: its build, what it holds, galaxy-importer, its playbooks once installed"""
    python = ROOT / ".venv-galaxy" / "bin" / "python"
    if not python.exists():
        job.fail("there is no .venv-galaxy: run tools/setup tests")
        job.check()
    tree = copy_tree("galaxy")
    output = CACHE / "galaxy"
    output.mkdir(exist_ok=True)
    for old in output.glob("*.tar.gz"):
        old.unlink()
    job.run("build", ["ansible-galaxy", "collection", "build", "--output-path", output, tree])
    job.check()
    artifact = next(output.glob("*.tar.gz"))
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    strangers = sorted({name.split("/")[0] for name in names} - SHIPPED)
    if strangers:
        job.fail(f"not for users, name it in galaxy.yml's build_ignore: {', '.join(strangers)}")

    path = os.pathsep.join([str(python.parent), environment()["PATH"]])
    env = {
        "PATH": path,
        "GALAXY_IMPORTER_CONFIG": str(ROOT / "tools/test.d/galaxy-importer.cfg"),
        "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(output / "tmp"),
    }
    said = job.run("galaxy-importer", [python, "-m", "galaxy_importer.main", artifact], cwd=output, env=env)
    # It exits 0 for all but the worst.
    complaints = re.findall(r"^(?:WARNING|ERROR|CRITICAL): .*", said, re.MULTILINE)
    if complaints:
        job.fail(f"galaxy-importer is not clean: {len(complaints)} complaints")
    install(job, artifact)
    return f"{len(names)} entries; importer clean; playbooks parse with nothing else present"


def install(job: Job, artifact: Path) -> None:
    """Install the artifact as a user would, and let Ansible read each playbook from there."""
    place = CACHE / "galaxy" / "installed"
    config = place.parent / "empty.cfg"
    config.write_text("", encoding="utf-8")
    env = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": str(place)}
    options = ["--offline", "--force", "-p", str(place)]
    job.run("install", ["ansible-galaxy", "collection", "install", *options, artifact], cwd=place.parent, env=env)
    playbooks = [Path(name).stem for name in files(":(glob)playbooks/*.yml")]
    if playbooks:
        named = [f"tenantnet.wireguard.{name}" for name in playbooks]
        options = ["--syntax-check", "-i", "localhost,"]
        job.run("playbooks of the artifact", ["ansible-playbook", *options, *named], cwd=place.parent, env=env)


def changelog(job: Job) -> str:
    """the changelog's fragments"""
    job.need("antsibull-changelog")
    job.run("antsibull-changelog", ["antsibull-changelog", "lint"])
    return f"{len(files('changelogs/fragments/*'))} fragments"


def netns(job: Job) -> str:
    """the drivers against the kernel, in network namespaces"""
    job.need("ip", "nft")
    if os.geteuid():
        job.fail("needs root, for network namespaces")
        job.check()
    said = job.run("pytest", ["pytest", "-q", "-o", f"cache_dir={CACHE / 'pytest-netns'}", "tests/integration_netns"])
    return counts(said)


def molecule(job: Job) -> str:
    """the roles on systemd hosts in containers, with real packets"""
    hook = ROOT / "tools/test.d/molecule"
    if not hook.exists():
        job.fail(f"{hook.relative_to(ROOT)} is missing")
        job.check()
    job.run("molecule", [hook])
    return "see the log"


def counts(said: str) -> str:
    """Pick pytest's closing counts out of what it said."""
    lines = re.findall(r"^(?:=+ )?(\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", said, re.MULTILINE)
    return " + ".join(lines) or "no tests"


def version_key(version: str) -> tuple[int, ...]:
    """Sort 3.10 after 3.9."""
    return tuple(int(part) for part in version.split("."))
