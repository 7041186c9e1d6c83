# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probing keeps on disk while it runs, and the processes and limits it uses."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import stat
import time
from contextlib import contextmanager
from typing import Any, Iterator

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import ProbeError

FOLDER = "/run/tenantnet"
"""Lost at boot, like the kernel state that the notes in it speak of."""

MAX_SECONDS = 600
"""Longest life of an observer, and so of a run of probes."""

_SO_RCVBUFFORCE = 33


def prepare_folder(folder: str) -> None:
    """Make the folder for root alone (0700).

    Raises ProbeError if something else stands in its place or owns it.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise ProbeError(f"{folder} is not a folder of our own")
        os.chmod(folder, 0o700)
    except OSError as exc:
        raise ProbeError(f"cannot make the folder {folder}: {exc}") from exc


def _sync_folder(path: str) -> None:
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str, value: Any) -> None:
    """Write the value as JSON so that a reader sees all of it or nothing.

    Mode 0600 from the first byte; on disk when this returns. Raises ProbeError.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as stream:
            json.dump(value, stream, separators=(",", ":"))
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
        _sync_folder(path)
    except OSError as exc:
        remove_file(temporary)
        raise ProbeError(f"cannot write {path}: {exc}") from exc


def read_json(path: str) -> Any:
    """Return the parsed file, or none if there is no such file.

    Raises ProbeError if it cannot be read or is not JSON.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise ProbeError(f"cannot read {path}: {exc}") from exc


def remove_file(path: str) -> None:
    """Remove a file; none at that place is fine. Raises ProbeError for the rest."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise ProbeError(f"cannot remove {path}: {exc}") from exc


def sweep(folder: str, prefix: str, seconds: float) -> None:
    """Remove files with this prefix that nobody has written to for so many seconds."""
    oldest = time.time() - seconds
    with os.scandir(folder) as entries:
        for entry in entries:
            ours = entry.name.startswith(prefix) and entry.is_file(follow_symlinks=False)
            if ours and entry.stat(follow_symlinks=False).st_mtime < oldest:
                remove_file(entry.path)


@contextmanager
def folder_lock(folder: str, seconds: float) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it if the holder dies.

    Raises ProbeError if another process holds it for longer than C(seconds).
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ProbeError(f"another process is sending probes from this host (lock of {folder})") from None
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; none if it is gone.

    Together with the pid this names a process for good: pids are used again.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The name may hold spaces and brackets; the fields follow the last bracket.
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie has ended, only nobody has asked for its status yet.
    return None if not fields or fields[0] == "Z" else int(fields[19])


def raise_open_files(wanted: int) -> int:
    """Allow this process so many open files, and return how many it may have.

    The hard limit is left as it is; it may make the result smaller.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed, soft)


def grow_buffer(handle: socket.socket, wanted: int) -> None:
    """Give a socket a receive buffer of so many bytes, or as many as are allowed."""
    try:
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
    except PermissionError:
        # In a container without CAP_NET_ADMIN over the host; the usual way is capped.
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
