# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine: how podman is started on it, and what the lab changes on it while it is up."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.hosts import NEVER_OUTSIDE

# Belongs to the machine and not to a user or a checkout, as podman's containers do. Gone after a reboot, as they are.
RUN = Path("/run/tenantnet-lab")
NAMESPACE = RUN / "mnt"
# Marks our own routes, so that we remove those and no others. Any number that nobody else uses.
ROUTE_PROTOCOL = "199"
CAP_SYS_RESOURCE = 24
LOG_ALL = Path("/proc/sys/net/netfilter/nf_log_all_netns")


class LabError(Exception):
    """Something that stops the lab, in words for the person who called it."""


def say(text: str) -> None:
    """Tell the person who called the lab what is going on."""
    print(f"lab: {text}", flush=True)


def run(
    command: Sequence[str], *, check: bool = True, timeout: float = 600, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing to read from, and keep what it says.

    :raises LabError: it failed and `check` is set, or it took too long.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed: call tools/setup") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)}: no end after {timeout:.0f} s") from None
    if check and done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-20:]
        raise LabError("\n  ".join([f"{' '.join(command)}: exit status {done.returncode}", *words]))
    return done


def lab_home() -> Path:
    """The folder with the lab's keys and image files: shared by all checkouts."""
    return Path(os.environ.get("TENANTNET_LAB_HOME") or Path.home() / ".cache" / "tenantnet-lab").absolute()


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Let one call at a time change the lab."""
    RUN.mkdir(mode=0o755, exist_ok=True)
    with (RUN / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another call of the lab to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# podman -------------------------------------------------------------------------------------------------------------


def _unified_cgroups() -> bool:
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_SYS_RESOURCE & 1)


def namespace_exists() -> bool:
    """Whether the private mount namespace is there. A plain file is what a reboot leaves of it."""
    return run(["stat", "--file-system", "--format=%T", str(NAMESPACE)], check=False).stdout.strip() == "nsfs"


def make_namespace() -> None:
    """Make the private mount namespace in which podman finds the cgroups that it and systemd need.

    It is kept, and everything about the lab goes through it: a network namespace that podman mounts in one mount
    namespace can't be seen, and so not removed, from another.
    """
    if _unified_cgroups() or namespace_exists():
        return
    RUN.mkdir(mode=0o755, exist_ok=True)
    # The kernel keeps a namespace's file only below a mount that doesn't propagate.
    if run(["mountpoint", "--quiet", str(RUN)], check=False).returncode != 0:
        run(["mount", "--bind", str(RUN), str(RUN)])
    run(["mount", "--make-private", str(RUN)])
    NAMESPACE.touch()
    script = "umount --recursive /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
    run(["unshare", f"--mount={NAMESPACE}", "--propagation=private", "sh", "-c", script])


def drop_namespace() -> None:
    """Let go of the private mount namespace: it ends with the last process inside."""
    if namespace_exists():
        run(["umount", str(NAMESPACE)])
        # Lazily: the lock file in there is ours at this moment.
        run(["umount", "--lazy", str(RUN)])


def inside(command: Sequence[str]) -> list[str]:
    """The command as it must be started to see what podman sees."""
    return list(command) if _unified_cgroups() else ["nsenter", f"--mount={NAMESPACE}", *command]


def podman_environment() -> dict[str, str]:
    """What podman needs in its environment: nothing on an ordinary machine."""
    if _unified_cgroups() and _may_raise_limits():
        return {}
    settings = RUN / "containers.conf"
    text = '[containers]\npids_limit = 0\ndefault_ulimits = ["nofile=20000:20000", "nproc=9000:9000"]\n'
    if not settings.exists() or settings.read_text() != text:
        RUN.mkdir(mode=0o755, exist_ok=True)
        settings.write_text(text)
    return {"CONTAINERS_CONF": str(settings)}


def podman(*arguments: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run podman where the lab is."""
    return run(inside(["podman", *arguments]), check=check, timeout=timeout, environment=podman_environment())


# The machine's network ----------------------------------------------------------------------------------------------


def guard() -> None:
    """Keep the lab's packets on this machine, and let its firewalls log."""
    for network in NEVER_OUTSIDE:
        family = "-6" if ":" in network else "-4"
        if not json.loads(run(["ip", "-j", family, "route", "show", network]).stdout or "[]"):
            run(["ip", family, "route", "add", "unreachable", network, "proto", ROUTE_PROTOCOL])
    # The kernel logs for the machine's own network namespace only, unless it is told to log for all.
    with contextlib.suppress(OSError):
        before = LOG_ALL.read_text().strip()
        if before == "0":
            LOG_ALL.write_text("1\n")
            (RUN / "nf_log_all_netns").write_text("0\n")


def unguard() -> None:
    """Take back what `guard` did."""
    with contextlib.suppress(OSError):
        LOG_ALL.write_text((RUN / "nf_log_all_netns").read_text())
        (RUN / "nf_log_all_netns").unlink()
    for family in ("-4", "-6"):
        # The unreachable type must be named: flush goes by the main table's ordinary routes otherwise.
        run(["ip", family, "route", "flush", "type", "unreachable", "proto", ROUTE_PROTOCOL], check=False)


def bridge_filter(bridge: str, *, add: bool) -> None:
    """Where the machine's firewall also sees what a bridge carries (Docker sets that), let our bridge's packets pass.

    A rule for our bridge alone: the setting itself is not ours.
    """
    for tables, setting in (("iptables", "bridge-nf-call-iptables"), ("ip6tables", "bridge-nf-call-ip6tables")):
        with contextlib.suppress(OSError, LabError):
            if Path("/proc/sys/net/bridge", setting).read_text().strip() != "1":
                continue
            rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
            there = run([tables, "-w", "-C", *rule], check=False).returncode == 0
            if add and not there:
                run([tables, "-w", "-I", *rule])
            elif there and not add:
                run([tables, "-w", "-D", *rule])
