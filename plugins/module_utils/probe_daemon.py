# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts an observer that outlives its caller, and collects what it saw.

The observer ends by itself at its deadline, whatever happens to the run.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import suppress
from typing import Any, Sequence

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_observe import Observer
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import (
    DEFAULT_MARKING,
    ProbeError,
    check_address,
    check_interface,
    check_marking,
    check_run,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_state import (
    FOLDER,
    MAX_SECONDS,
    prepare_folder,
    raise_open_files,
    read_json,
    remove_file,
    start_time,
    sweep,
    write_json,
)

MAX_SOCKETS = 10000

_STOP_SECONDS = 30.0  # from the order to stop to the written file


def _file(folder: str, run: str, ending: str) -> str:
    return os.path.join(folder, f"verify-{run}.{ending}")


def start(
    run: str,
    seconds: int,
    interfaces: Sequence[str],
    udp_echo: Sequence[dict[str, Any]],
    marking: int = DEFAULT_MARKING,
    folder: str = FOLDER,
) -> dict[str, Any]:
    """Leave an observer behind that ends within C(seconds); return once it receives.

    C(udp_echo) holds C(address) and C(port) of each. The result names the
    interfaces and addresses that could not be served, with reasons. Raises
    ProbeError if the input is wrong or an observer of this run is running.
    """
    check_run(run)
    check_marking(marking)
    if not 1 <= seconds <= MAX_SECONDS:
        raise ProbeError(f"seconds {seconds} is not between 1 and {MAX_SECONDS}")
    names = sorted({check_interface(name) for name in interfaces})
    wanted = {(item["address"], int(item["port"])) for item in udp_echo}
    for address, port in wanted:
        check_address(address)
        if not 1 <= port <= 65535:
            raise ProbeError(f"port {port} of udp_echo is not between 1 and 65535")
    if len(names) + len(wanted) > MAX_SOCKETS:
        raise ProbeError(f"more than {MAX_SOCKETS} interfaces and addresses to observe")
    prepare_folder(folder)
    sweep(folder, "verify-", 2.0 * MAX_SECONDS)
    pidfile = _file(folder, run, "pid")
    if _running(pidfile) is not None:
        raise ProbeError(f"an observer of run {run} is already at work")
    remove_file(_file(folder, run, "json"))
    raise_open_files(len(names) + len(wanted) + 64)
    observer = Observer(run)
    try:
        observer.open(names, [{"address": item[0], "port": item[1]} for item in sorted(wanted)], marking)
        pid = _detach(observer, seconds, folder)
    finally:
        observer.close()
    return {
        "pid": pid,
        "watching": [name for name, _capture in observer.captures],
        "unwatched": observer.unwatched,
        "echoing": len(observer.echoes),
        "skipped_echo": observer.skipped,
    }


def _detach(observer: Observer, seconds: int, folder: str) -> int:
    """Fork the observer off for good and return its pid once its pidfile stands."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing of the caller may run twice, so no path leads out of here but _exit.
        try:
            os.setsid()
            if os.fork() == 0:
                _serve(observer, seconds, folder, writer)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        os.waitpid(child, 0)
        # The pipe ends when the observer speaks or dies.
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            said = os.read(reader, 32) if selector.select(15.0) else b""
    finally:
        os.close(reader)
    if not said.isdigit():
        raise ProbeError(f"the observer did not start: it could not write to {folder}")
    return int(said)


def _serve(observer: Observer, seconds: int, folder: str, ready: int) -> None:
    until = time.monotonic() + seconds
    stopped: list[int] = []
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    # The last resort against a loop that hangs; its default action ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + _STOP_SECONDS)
    os.chdir("/")
    os.umask(0o077)
    sockets = [capture for _name, capture in observer.captures] + observer.echoes
    _keep_only([handle.fileno() for handle in sockets] + [ready])
    with open("/proc/self/comm", "w", encoding="ascii") as stream:
        stream.write("tenantnet-probe")
    pid = os.getpid()
    pidfile = _file(folder, observer.run, "pid")
    write_json(pidfile, {"pid": pid, "start": start_time(pid)})
    os.write(ready, b"%d" % pid)
    os.close(ready)
    observer.loop(until, stopped)
    write_json(_file(folder, observer.run, "json"), observer.report("stopped" if stopped else "deadline"))


def _keep_only(wanted: Sequence[int]) -> None:
    """Close all other files, so that whoever waits for their end is not kept waiting."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    keep = set(wanted) | {0, 1, 2}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            # The folder's own handle is in the list and closed by now.
            with suppress(OSError):
                os.close(int(name))


def _running(pidfile: str) -> int | None:
    """Return the pid of the observer that wrote the file, or none if it has ended."""
    noted = read_json(pidfile)
    if not isinstance(noted, dict) or not isinstance(noted.get("pid"), int):
        return None
    pid, began = int(noted["pid"]), noted.get("start")
    return pid if pid > 1 and began is not None and start_time(pid) == began else None


def _signal(pid: int | None, number: int) -> None:
    if pid is not None:
        # It may have ended at its deadline in this very moment.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def collect(run: str, folder: str = FOLDER, patience: float = _STOP_SECONDS) -> dict[str, Any]:
    """End this run's observer, and return and remove what it saw.

    Where no observer ran or it died, C(observed) is false and C(reason) says so.
    Waits at most C(patience) seconds. Raises ProbeError if the result is unreadable.
    """
    pidfile, result = _file(folder, check_run(run), "pid"), _file(folder, run, "json")
    empty: dict[str, Any] = {"observed": False, "ended": None, "sightings": [], "overflow": False, "lost": 0}
    if not os.path.exists(pidfile):
        return dict(empty, reason=f"no observer of run {run} was started here")
    pid = _running(pidfile)
    _signal(pid, signal.SIGTERM)
    until = time.monotonic() + patience
    while pid is not None and time.monotonic() < until:
        time.sleep(0.02)
        pid = _running(pidfile)
    _signal(pid, signal.SIGKILL)
    report = read_json(result)
    remove_file(result)
    remove_file(pidfile)
    if report is None:
        return dict(empty, reason=f"the observer of run {run} died without a result")
    return dict(empty, observed=True, reason=None, **report)
