# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence

from labkit import containers, image, machine
from labkit.hosts import DEFAULT_HOSTS, HOSTS, INTERNET, Host
from labkit.machine import LabError, say


def up(hosts: Sequence[Host], *, anew: bool = False) -> None:
    """Bring hosts up: make what is missing or outdated, start what has stopped, leave alone what runs."""
    begin = time.monotonic()
    machine.make_namespace()
    machine.guard()
    containers.keys()
    have = containers.containers()
    outdated, stopped, missing = [], [], []
    for host in hosts:
        container = have.get(host.name)
        if container is None:
            missing.append(host)
        elif anew or container.spec != containers.spec(host, image.tag(host.release)):
            outdated.append(host)
        elif not container.running:
            stopped.append(host)
    changed = [*outdated, *stopped, *missing]
    if outdated or missing:
        for release in sorted({host.release for host in [*outdated, *missing]}):
            image.ensure(release, quiet=True)
        containers.network()
    if outdated:
        say(f"removing {_names(outdated)}{'' if anew else ': made from an older image'}")
        containers.together(containers.remove, outdated, "removing")
    if stopped:
        say(f"starting {_names(stopped)}")
        containers.together(lambda host: containers.start(host, image.tag(host.release)), stopped, "starting")
    if outdated or missing:
        say(f"making {_names([*outdated, *missing])}")
        making = [*outdated, *missing]
        containers.together(lambda host: containers.create(host, image.tag(host.release)), making, "making")
    containers.join_network()
    # Also those that were up: whoever calls next wants to use them.
    silent = [host for host in hosts if host in changed or not containers.answers(host)]
    containers.together(containers.wait, silent, "waiting for it")
    if changed and {"hub1", INTERNET.name} <= {host.name for host in hosts}:
        containers.check_ways()
    seconds = time.monotonic() - begin
    say(f"up: {_names(hosts)} ({seconds:.1f} s{'' if changed else ', nothing to do'})")


def down(only: Sequence[Host]) -> None:
    """Remove hosts; with all of them also what the lab changed on the machine. Keys and images stay in the cache."""
    machine.make_namespace()
    have = [HOSTS[name] for name in containers.containers() if name in HOSTS]
    going = [host for host in have if not only or host in only]
    if going:
        say(f"removing {_names(going)}")
        containers.together(containers.remove, going, "removing")
    if only:
        return
    containers.remove_network()
    machine.unguard()
    # Somebody else's containers in there could not be removed cleanly without it.
    if not machine.podman("ps", "--all", "--quiet").stdout.strip():
        machine.drop_namespace()
    say("down")


def fresh(hosts: Sequence[Host]) -> None:
    """Make hosts anew, as if nothing had ever been deployed; without names: those that exist and the usual ones."""
    machine.make_namespace()
    if not hosts:
        have = containers.containers()
        hosts = [host for host in HOSTS.values() if host.default or host.name in have]
    up(hosts, anew=True)


def status() -> int:
    """Say how each host is; non-zero unless the usual ones are all up."""
    machine.make_namespace()
    have = containers.containers()
    well = True
    for host in HOSTS.values():
        container = have.get(host.name)
        words = container.state if container else "absent"
        if container and container.running:
            words = "up" if containers.answers(host) else "running, does not answer by SSH"
            if container.spec != containers.spec(host, image.tag(host.release)):
                words += ", made from an older image"
        well &= words == "up" or not host.default
        print(f"{host.name:10} {host.address:14} {host.address_v6:18} {words}", flush=True)
    return 0 if well else 1


def restart(host: Host) -> None:
    """Restart a host, as a reboot would."""
    begin = time.monotonic()
    machine.podman("restart", host.container)
    containers.join_network()
    containers.wait(host)
    say(f"{host.name} is up again ({time.monotonic() - begin:.1f} s)")


def replace_process(command: Sequence[str]) -> None:
    """Become another command where podman is."""
    machine.make_namespace()
    os.environ.update(machine.podman_environment())
    sys.stdout.flush()
    whole = machine.inside(command)
    os.execvp(whole[0], whole)  # noqa: S606


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    options = _parser().parse_args(words)
    if os.geteuid() != 0:
        print("lab: must be root: it makes network namespaces and privileged containers", file=sys.stderr)
        return 2
    if shutil.which("podman") is None:
        print("lab: podman is not installed: call tools/setup", file=sys.stderr)
        return 1
    try:
        return _run(options)
    except LabError as error:
        print(f"lab: stopped at '{options.command}': {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads our words has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"lab: interrupted at '{options.command}'; it can be called again as it is", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "exec":
        terminal = ["--interactive", "--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else ["--interactive"]
        replace_process(["podman", "exec", *terminal, _host(options.host).container, *options.words])
    elif options.command == "enter":
        # Entering takes one to the root folder.
        replace_process(["sh", "-c", 'cd "$0" && exec "$@"', os.getcwd(), *(options.words or ["bash"])])
    elif options.command == "status":
        return status()
    else:
        with machine.lock():
            if options.command == "up":
                up([_host(name) for name in options.hosts] or DEFAULT_HOSTS)
            elif options.command == "fresh":
                fresh([_host(name) for name in options.hosts])
            elif options.command == "down":
                down([_host(name) for name in options.hosts])
            elif options.command == "restart":
                restart(_host(options.host))
            elif options.command == "forget":
                machine.make_namespace()
                image.forget()
                containers.forget_keys()
            elif options.command == "image":
                machine.make_namespace()
                image.ensure()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="The lab: hosts in containers on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("up", "bring hosts up: without names the usual ones"),
        ("fresh", "make hosts anew, with nothing deployed: without names all that exist and the usual ones"),
        ("down", "remove hosts: without names all, and what the lab changed on this machine"),
    ):
        commands.add_parser(name, help=words).add_argument("hosts", nargs="*", metavar="HOST")
    commands.add_parser("status", help="say how each host is")
    commands.add_parser("image", help="make the hosts' image, if it isn't there")
    commands.add_parser("forget", help="remove the images and keys that all checkouts share, when the lab is down")
    commands.add_parser("restart", help="restart a host as a reboot would").add_argument("host", metavar="HOST")
    execute = commands.add_parser("exec", help="run a command in a host, also when its network is broken")
    execute.add_argument("host", metavar="HOST")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    enter = commands.add_parser("enter", help="run a command of this machine where it sees podman's mounts")
    enter.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _host(name: str) -> Host:
    try:
        return HOSTS[name]
    except KeyError:
        raise LabError(f"there is no host {name!r}; there are {', '.join(HOSTS)}") from None


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(host.name for host in hosts)
