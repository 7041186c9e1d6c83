# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One compilation a run, however many hosts and forks: kept in Ansible's own folder for the run.

That folder is made private by Ansible and removed when the run ends. The key is the input's hash, so a
variable that changes in the middle of a run is compiled again and never confused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible import constants as C
from ansible.parsing.dataloader import DataLoader
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.boundary.inputs import (
    Inputs,
    load_record,
    read_inputs,
)
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.compile import compile_declaration
from ansible_collections.tenantnet.wireguard.plugins.plugin_utils.compiler.problems import DeclarationError

# The name of a slice, by the part of the compiled plan that it comes from.
_SLICES = {"hubs": "hub", "peers": "peer", "probes": "probes"}


class RunError(Exception):
    """The run cannot go on; the message is for people and complete."""


class Run:
    """The run's shared folder: the compiled plan by slices, and notes that one task leaves for another."""

    def __init__(self, task_vars: Mapping[str, Any], loader: DataLoader) -> None:
        """Read the run's inputs; nothing is compiled yet."""
        self.inputs: Inputs = read_inputs(task_vars, loader)
        self._base = os.path.join(str(C.DEFAULT_LOCAL_TMP), "tenantnet")
        os.makedirs(self._base, mode=0o700, exist_ok=True)
        inputs = self.inputs
        source = (
            inputs.variables,
            inputs.hubs,
            inputs.peer_hosts,
            [p.path for p in inputs.problems.found],
            inputs.record_path,
        )
        digest = hashlib.sha256(pickle.dumps(source, protocol=4)).hexdigest()[:24]
        self._folder = os.path.join(self._base, digest)

    def slice(self, kind: str, name: str = "all") -> Any:
        """Return one slice of the plan: overview, hub, peer, probes; None where a host has none.

        Raises RunError with every problem of the declaration.
        """
        with self._locked():
            if not os.path.isdir(self._folder):
                self._compile()
        error = self._read(os.path.join(self._folder, "error.json"))
        if error is not None:
            raise RunError(str(error))
        return self._read(os.path.join(self._folder, f"{kind}-{name}.json"))

    def has_record(self) -> bool:
        """Tell whether there is a record of allocations to read."""
        return self.inputs.record_path is not None and os.path.exists(self.inputs.record_path)

    def record(self, check: bool) -> str:
        """Write the record of allocations if it changed; return a sentence for people, or an empty string.

        Raises RunError where the record is frozen and out of date, or cannot be written.
        """
        text = self.slice("record")
        path = self.inputs.record_path
        if text is None or path is None:
            return ""
        if self.inputs.frozen:
            raise RunError(self._frozen_message(path, text))
        if check:
            return f"{path} would be updated"
        self._write_record(path, text)
        return f"{path} was updated: commit this file"

    @property
    def id(self) -> str:
        """A name of this run that no other run has."""
        with self._locked():
            path = os.path.join(self._base, "id")
            if not os.path.exists(path):
                self._write(path, secrets.token_hex(8))
            return str(self._read(path))

    def note(self, kind: str, name: str, data: Any) -> None:
        """Leave a note for later tasks of this run."""
        folder = os.path.join(self._base, "notes", kind)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._write(os.path.join(folder, f"{_file_name(name)}.json"), {"name": name, "data": data})

    def notes(self, kind: str) -> dict[str, Any]:
        """Return all notes of a kind by name."""
        folder = os.path.join(self._base, "notes", kind)
        found = {}
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            note = self._read(os.path.join(folder, entry)) if entry.endswith(".json") else None
            if note is not None:
                found[str(note["name"])] = note["data"]
        return found

    def first_time(self, what: str) -> bool:
        """Tell whether this is the first task of the run that asks this."""
        with self._locked():
            path = os.path.join(self._base, f"once-{_file_name(what)}")
            if os.path.exists(path):
                return False
            self._write(path, True)
            return True

    def _compile(self) -> None:
        """Compile into a new folder, which appears complete or not at all."""
        temporary = tempfile.mkdtemp(dir=self._base)
        inputs = self.inputs
        try:
            record = load_record(inputs.record_path, inputs.problems)
            if record is None:
                record = self.notes("recovered").get("record")
            compiled = compile_declaration(inputs.declaration(record), inputs.problems)
        except DeclarationError as error:
            lines = error.problems.texts(inputs.locate)
            count = f"{len(lines)} error{'s' if len(lines) != 1 else ''} in the declaration"
            self._write(os.path.join(temporary, "error.json"), "\n".join([f"{count}; nothing was changed:", *lines]))
        else:
            self._write(os.path.join(temporary, "overview-all.json"), compiled["overview"])
            if compiled["record"] is not None:
                self._write(os.path.join(temporary, "record-all.json"), compiled["record"])
            for kind in _SLICES:
                for name, part in compiled[kind].items():
                    self._write(os.path.join(temporary, f"{_SLICES[kind]}-{name}.json"), part)
        os.rename(temporary, self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the run's lock: forks of one run wait for the one that compiles."""
        with open(os.path.join(self._base, "lock"), "w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _read(path: str) -> Any:
        """Load JSON, or return None where there is no file."""
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    @staticmethod
    def _write(path: str, data: Any) -> None:
        """Write JSON by way of a temporary name: forks read while others write."""
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.rename(temporary, path)

    def _write_record(self, path: str, text: str) -> None:
        """Replace the record under a lock on its folder.

        Raises RunError where it cannot be written; the old one is untouched then.
        """
        folder = os.path.dirname(path)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            handle, temporary = tempfile.mkstemp(prefix=".wireguard.lock.", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.rename(temporary, path)
            os.fsync(descriptor)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _frozen_message(self, path: str, text: str) -> str:
        """Say what has to be committed."""
        try:
            with open(path, encoding="utf-8") as file:
                before = file.read().splitlines()
        except FileNotFoundError:
            before = []
        known = set(before)
        lines = [line for line in text.splitlines() if line not in known]
        return "\n".join(
            [
                f"{path} is out of date, and wireguard_allocation_frozen forbids to change it here.",
                "Run the playbook plan outside CI and commit the file; it would gain or change these lines:",
                *lines,
            ]
        )


def _file_name(name: str) -> str:
    """Make a file's name of any name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
