# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands and writing files on a host: the only two ways in which drivers change anything.

Both go through one `Host`, so that tests can watch, fail or stop every single change.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from typing import Sequence

# 32 bytes in base64.
_KEY = re.compile(r"[A-Za-z0-9+/]{42,43}=")


class HostError(Exception):
    """Something on the host could not be read or changed; the message says what and what to do."""


def without_keys(text: str) -> str:
    """Return what a command said with every WireGuard key blotted out: some quote what they could not read."""
    return _KEY.sub("(key)", text.strip())


class Host:
    """A host's commands and files, with a root that tests may move.

    check: predict only; whoever changes something asks `applies` first.
    """

    def __init__(self, check: bool = False, root: str = "/") -> None:
        """Remember whether this run only predicts, and below which folder files are."""
        self.check = check
        self.root = root
        self.diffs: list[dict[str, str]] = []
        self.changes: list[str] = []

    def path(self, path: str) -> str:
        """Return where an absolute path really is."""
        return os.path.join(self.root, path.lstrip("/"))

    def run(self, argv: Sequence[str], stdin: str | None = None) -> str:
        """Run a command and return its output; secrets travel by `stdin`, never by `argv`.

        Raises HostError with the command and its error output when it is missing or fails.
        """
        code, output, errors = self.attempt(argv, stdin)
        if code:
            raise HostError(f"{' '.join(argv)}: failed with status {code}: {without_keys(errors.strip() or output)}")
        return output

    def attempt(self, argv: Sequence[str], stdin: str | None = None) -> tuple[int, str, str]:
        """Run a command that may fail; return its status, output and errors (127: there is no such command)."""
        environment = dict(
            os.environ, LC_ALL="C.UTF-8", PATH="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
        )
        # A command without input gets an empty one: wg reads standard input where a file says /dev/stdin.
        try:
            done = subprocess.run(
                list(argv), input=stdin or "", text=True, capture_output=True, env=environment, check=False
            )
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES):
                return 127, "", f"{argv[0]}: {os.strerror(error.errno)}"
            raise HostError(f"{argv[0]}: {error}") from error
        return done.returncode, done.stdout, done.stderr

    def has_command(self, name: str) -> bool:
        """Tell whether a command is installed."""
        folders = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
        return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)

    def read(self, path: str) -> str | None:
        """Return a file's text, or None where there is no such file.

        Raises HostError where it cannot be read.
        """
        try:
            with open(self.path(path), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HostError(f"{path}: cannot be read: {error}") from error

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        return os.path.lexists(self.path(path))

    def list_folder(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no folder."""
        try:
            return sorted(os.listdir(self.path(path)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HostError(f"{path}: cannot be read: {error.strerror}") from error

    def applies(self, what: str) -> bool:
        """Record a change; tell whether it is to be made (False in check mode)."""
        self.changes.append(what)
        return not self.check

    def make_folder(self, path: str, mode: int) -> None:
        """Make a folder of ours with a mode; its parents must be the distribution's."""
        try:
            os.makedirs(self.path(path), mode=mode, exist_ok=True)
            if os.stat(self.path(path)).st_mode & 0o777 != mode:
                os.chmod(self.path(path), mode)
        except OSError as error:
            raise HostError(f"{path}: the folder cannot be made: {error.strerror}") from error

    def write(self, path: str, text: str, mode: int) -> None:
        """Write a file: complete or not at all, with its mode from the first byte, and on the disk.

        The folder must exist. Raises HostError with the old file untouched.
        """
        target = self.path(path)
        folder = os.path.dirname(target)
        temporary = self._unfinished(path)
        try:
            # What a killed run left; under the lock of a task nobody else writes there.
            self._unlink(temporary)
            # 0600 from the first byte: a secret is never readable by others, not even before it is whole.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fchmod(file.fileno(), mode)
                    os.fsync(file.fileno())
                os.rename(temporary, target)
            except OSError:
                self._unlink(temporary)
                raise
            self._sync_folder(folder)
        except OSError as error:
            raise HostError(f"{path}: cannot be written: {error.strerror}; the old file is untouched") from error

    def _unfinished(self, path: str) -> str:
        """Return where a file is written before it is whole.

        One place for each file: a killed run leaves no more than that, and the next run finds it.
        """
        folder, name = os.path.split(self.path(path))
        return os.path.join(folder, f".{name}.unfinished")

    def sweep(self, path: str) -> None:
        """Remove what a killed run left beside a file that needs no writing: it may hold a secret."""
        unfinished = self._unfinished(path)
        if os.path.lexists(unfinished) and not self.check:
            self._remove(unfinished)

    def ensure_file(self, path: str, text: str, mode: int, secret: bool = False, folder_mode: int = 0o755) -> bool:
        """Make a file have this text and mode; record the change and its diff, and return whether it differed.

        secret: the diff shows only that the file differs.
        """
        self.sweep(path)
        before = self.read(path)
        if before == text and os.stat(self.path(path)).st_mode & 0o777 == mode:
            return False
        old, new = before or "", text
        if secret:
            old, new = "" if before is None else "(secret)\n", "(new secret)\n"
        self.diffs.append({"before_header": path, "after_header": path, "before": old, "after": new})
        if self.applies(f"write {path}"):
            self.make_folder(os.path.dirname(path), folder_mode)
            self.write(path, text, mode)
        return True

    def ensure_absent(self, path: str) -> bool:
        """Remove a file; return whether there was one."""
        self.sweep(path)
        if not os.path.lexists(self.path(path)):
            return False
        if self.applies(f"remove {path}"):
            self._remove(self.path(path))
        return True

    def drop_folder(self, path: str) -> None:
        """Remove a folder of ours that nobody has put anything else into."""
        if not self.check:
            with contextlib.suppress(OSError):
                os.rmdir(self.path(path))

    def ensure_setting(self, key: str, value: str) -> None:
        """Make a kernel setting, in the words of sysctl(8), what it should be.

        Raises HostError where the kernel has no such setting or refuses the value.
        """
        # Where slashes part the words, a dot belongs to an interface's name.
        path = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
        live = self.read(path)
        if live is None:
            raise HostError(f"{key}: the kernel has no such setting")
        if live.strip() != value and self.applies(f"set {key} = {value}"):
            try:
                with open(self.path(path), "w", encoding="ascii") as file:
                    file.write(value + "\n")
            except OSError as error:
                raise HostError(f"{key}: cannot be set to {value}: {error.strerror}") from error

    def _remove(self, path: str) -> None:
        """Remove a file for good; raises HostError where that cannot be done."""
        try:
            self._unlink(path)
            self._sync_folder(os.path.dirname(path))
        except OSError as error:
            raise HostError(f"{path}: cannot be removed: {error.strerror}") from error

    @staticmethod
    def _unlink(path: str) -> None:
        """Remove a file that may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    @staticmethod
    def _sync_folder(folder: str) -> None:
        """Put a folder's names on the disk: a rename is only durable then."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
