# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the guests."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from labkit.machine import LabError, say

from kernelkit import image, machines, network
from kernelkit.hosts import GUESTS, NAMESPACE, RUN, Guest

CANNOT = image.CANNOT


def up(guests: Sequence[Guest], *, fresh: bool = False) -> None:
    """Switch guests on, with all that this needs."""
    begin = time.monotonic()
    image.ensure_kernel()
    machines.trust()
    network.make()
    for guest in guests:
        if fresh:
            machines.cut(guest)
        machines.start(guest, fresh=fresh)
    machines.wait(guests)
    say(f"up: {', '.join(guest.name for guest in guests)} ({time.monotonic() - begin:.1f} s)")


def down() -> None:
    """End all guests and their network. Kernel and image stay in the cache."""
    machines.remove()
    network.remove()
    say("down")


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    options = _parser().parse_args(words)
    if os.geteuid() != 0:
        print("guests: must be root: it makes a network namespace and taps", file=sys.stderr)
        return 2
    try:
        return _run(options)
    except image.CannotBuildError as error:
        print(f"guests: {error}", file=sys.stderr)
        return CANNOT
    except LabError as error:
        print(f"guests: stopped at '{options.command}': {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"guests: interrupted at '{options.command}'; it can be called again as it is", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    guests = [_guest(name) for name in getattr(options, "guests", [])] or list(GUESTS.values())
    if options.command in ("up", "fresh"):
        up(guests, fresh=options.command == "fresh")
    elif options.command == "build" and options.there:
        return 0 if image.kernel_path().exists() else 1
    elif options.command == "build":
        say(f"kernel: {image.ensure_kernel()}")
        say(f"disk: {image.ensure_image()}")
    elif options.command == "down":
        down()
    elif options.command == "cut":
        for guest in guests:
            machines.cut(guest)
    elif options.command == "reboot":
        for guest in guests:
            machines.reboot(guest)
        machines.wait(guests)
    elif options.command == "status":
        return status()
    elif options.command == "exec":
        sys.stdout.flush()
        os.execvp("ssh", ["ssh", "-F", "none", *machines.ssh_options(), _guest(options.guest).address, *options.words])  # noqa: S606
    elif options.command == "enter":
        os.execvp("nsenter", network.inside(options.words or ["bash"]))  # noqa: S606
    return 0


def status() -> int:
    """Say how each guest is; non-zero unless all are up."""
    well = network.exists()
    for guest in GUESTS.values():
        number = machines.pid(guest)
        words = "off" if number is None else "up" if machines.answers(guest) else "running, does not answer by SSH"
        well &= words == "up"
        print(f"{guest.name:8} {guest.address:14} {guest.address_v6:18} {words}", flush=True)
    return 0 if well else 1


def _guest(name: str) -> Guest:
    if name not in GUESTS:
        raise LabError(f"there is no guest {name} (there are {', '.join(GUESTS)})")
    return GUESTS[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guests", description="Guests with a real kernel's WireGuard, in User-Mode Linux on this machine.",
        epilog=f"Runs below {RUN}; the network namespace is {NAMESPACE}.",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="make the kernel and the disk's image, if they aren't there")
    build.add_argument("--there", action="store_true", help="only say by the exit status whether the kernel is there")
    for name, words in (
        ("up", "switch guests on: without names all"),
        ("fresh", "the same, with nothing deployed on them"),
        ("cut", "cut guests off from power: without names all"),
        ("reboot", "restart guests in good order: without names all"),
    ):
        commands.add_parser(name, help=words).add_argument("guests", nargs="*", metavar="GUEST")
    commands.add_parser("down", help="end all guests and remove their disks and their network")
    commands.add_parser("status", help="say how each guest is")
    execute = commands.add_parser("exec", help="run a command on a guest, by SSH")
    execute.add_argument("guest", metavar="GUEST")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    enter = commands.add_parser("enter", help="run a command in the guests' network: tcpdump, say")
    enter.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser
