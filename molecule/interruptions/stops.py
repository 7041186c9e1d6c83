# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a hub: runs the collection's modules as Ansible sent them there, and kills each of them before every change.

    stops.py CASE            CASE: a JSON file, see `main`
    stops.py wrong           only what is half open now

A change is a system call that alters a file, a folder or a kernel setting, and every command that alters anything; of
a batch for `ip` also the moments between its lines. Before each of them the module gets SIGKILL, one run for one
change; then nothing may be half open, and the next run of the module must lead to where an undisturbed one leads.
Prints a line of JSON for each change. Needs nothing but Python and the modules' own commands.
"""

import builtins
import contextlib
import difflib
import functools
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path

OURS = ("/etc/tenantnet", "/etc/wireguard", "/etc/iproute2", "/etc/sysctl.d", "/etc/systemd", "/var/lib/tenantnet",
        "/run/tenantnet", "/proc/sys")  # fmt: skip
READING = re.compile(r"(ip (-N )?(-j )|nft (-c|-s list|list)|wg (show|pubkey)|systemctl (show|is-)|conntrack -L)")
SECRETS = ("/etc/tenantnet/keys/", "/etc/wireguard/")
SECRET = re.compile(r"(?m)^PrivateKey = .*$")
MODULES = "ansible_collections.tenantnet.wireguard.plugins.modules."


# A module that is killed ----------------------------------------------------------------------------------------------


class Stops:
    """Counts the changes of this process, and ends it before one of them."""

    def __init__(self, limit, log):
        self.limit = limit
        self.log = log
        self.count = 0

    def before(self, what):
        """Count a change that is about to be made."""
        self.count += 1
        os.write(self.log, (what + "\n").encode())
        if self.count == self.limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self):
        """Put the count in front of all that changes something."""
        for name in ("mkdir", "rmdir", "rename", "unlink", "chmod", "fsync", "fchmod", "fdopen"):
            setattr(os, name, self._counted(name, getattr(os, name)))
        real_os_open, real_open = os.open, builtins.open

        def os_open(path, flags, *rest, **options):
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and ours(path):
                self.before(f"open {path}")
            return real_os_open(path, flags, *rest, **options)

        def opened(path, mode="r", *rest, **options):
            if set(mode) & set("wax+") and ours(path):
                self.before(f"open {path}")
            return real_open(path, mode, *rest, **options)

        os.open, builtins.open, subprocess.run = os_open, opened, self._counted_run(subprocess.run)

    def _counted_run(self, real):
        def run(argv, *rest, **options):
            line = " ".join(argv)
            if not READING.match(line):
                self.before(line)
                if "-batch" in line:
                    self._inside(argv, options, real)
            return real(argv, *rest, **options)

        return run

    def _counted(self, name, real):
        @functools.wraps(real)
        def call(target, *rest, **options):
            place = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            if ours(place):
                # What is read is opened by a descriptor too.
                self.before(f"{'write' if name == 'fdopen' else name} {place}")
            return real(target, *rest, **options)

        return call

    def _inside(self, argv, options, real):
        """Stop a batch after its first line, and before its last."""
        lines = (options.get("input") or "").splitlines(keepends=True)
        for done in sorted({1, len(lines) - 1} - {0, len(lines)}):
            if self.count + 1 == self.limit:
                real(argv, **{**options, "input": "".join(lines[:done])})
            self.before(f"{' '.join(argv)}: after {done} of {len(lines)} lines")


def ours(path):
    """Tell whether a path is one that the collection may change."""
    return isinstance(path, str) and path.startswith(OURS)


def run(module, arguments, limit=0):
    """Run a module in a process of its own; returns its exit status (-9: killed), its answer and its changes."""
    reading, writing = os.pipe()
    answer_reading, answer_writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(answer_reading)
        os.dup2(answer_writing, 1)
        try:
            from ansible.module_utils import basic

            whole = {**arguments, "_ansible_check_mode": False, "_ansible_diff": True, "_ansible_no_log": False}
            basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": whole}).encode()
            basic._ANSIBLE_PROFILE = "legacy"
            program = importlib.import_module(MODULES + module)
            Stops(limit, writing).watch()
            program.main()
        except SystemExit as error:
            sys.stdout.flush()
            os._exit(int(error.code or 0))
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        os._exit(99)
    os.close(writing)
    os.close(answer_writing)
    with os.fdopen(reading) as log, os.fdopen(answer_reading) as answer:
        # Short enough for the pipes: neither is read before the other is full.
        changes = log.read().splitlines()
        said = answer.read()
    _pid, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said, changes


# What is there --------------------------------------------------------------------------------------------------------


def output(script):
    """Run a shell script and return what it says."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout


def tree():
    """Return every file of ours, with secrets, generations and claims blotted out, and its mode."""
    found = {}
    for top in OURS[:-2]:
        for path in sorted(Path(top).rglob("*")):
            if path.is_symlink() or not path.is_file() or not re.search("tenantnet|wireguard|wg-quick", str(path)):
                continue
            text = path.read_text()
            if "/keys/" in str(path):
                text = "(key)" if len(text) == 45 else f"(no key: {len(text)} characters)"
            text = SECRET.sub("PrivateKey = (key)", text)
            if path.name in ("run.json", "firewall.json"):
                text = f"({', '.join(sorted(json.loads(text)))})"
            text = re.sub(r"define GEN = \d+", "define GEN = (generation)", text)
            found[str(path)] = f"{path.stat().st_mode & 0o777:o} {text}"
    return found


def live():
    """Return what the kernel and systemd have of ours, in a comparable form."""
    generation = re.search(r"define GEN = (\d+)", output("cat /etc/tenantnet/firewall.nft 2>/dev/null"))
    firewall = output("nft -s list table inet tenantnet 2>/dev/null")
    if generation:
        # nft shows what is kept of the mark together with what is set.
        for number in (int(generation[1]), int(generation[1]) | 0xFF):
            firewall = firewall.replace(f"0x{number:08x}", "(generation)")
    return {
        "rules": output("for f in 4 6; do ip -N -$f rule show | grep 'proto 94' | sort; done"),
        "routes": output("for f in 4 6; do ip -N -$f route show table all proto 94 | sort; done"),
        "addresses": output("ip -o address show scope global | awk '{print $2, $4}' | sort"),
        "peers": output("wg show all allowed-ips | sort; wg show all listen-port | sort"),
        "mtu": output("grep . /sys/class/net/*/mtu | grep -v -e /lo/ -e /eth"),
        "settings": output("cd /proc/sys/net; grep -s . ipv4/ip_forward ipv6/conf/all/forwarding"
                           " ipv4/ip_local_reserved_ports ipv4/conf/*/*_redirects ipv6/conf/*/accept_r*"),
        "firewall": firewall,
        "units": output("systemctl list-unit-files --no-legend 'wg-quick@*' 'tenantnet-*';"
                        " systemctl list-units --no-legend --plain 'wg-quick@*' 'tenantnet-*'"),
    }  # fmt: skip


def keys():
    """Return the private keys by file, and those in use by interface: compared, never printed."""
    found = {str(path): path.read_text() for path in Path("/etc/tenantnet").glob("keys/*.key")}
    for name in output("wg show interfaces").split():
        found[name] = output(f"wg show {name} private-key")
    return found


def half_open(known):
    """Return what is wrong with a hub that was stopped: an unguarded interface, a file that is neither old nor new.

    known: the texts that each file may have; None: only what others may read is wrong with files.
    """
    wrong = []
    used = re.search(r"ct mark set ct mark & 0x\w+ \| 0x(\w{6})00", output("nft list table inet tenantnet"))
    if used and int(used[1], 16) > json.loads(Path("/var/lib/tenantnet/firewall.json").read_text())["generation"]:
        wrong.append(f"generation {int(used[1], 16)} is in use, and may come back with other contents")
    guarded = output("nft list set inet tenantnet fabric 2>/dev/null")
    rules = output("ip rule show; ip -6 rule show")
    for name in output("wg show interfaces").split():
        if f'"{name}"' not in guarded:
            wrong.append(f"{name} stands, and the firewall does not know it")
        if f"iif {name} " not in rules:
            wrong.append(f"{name} stands, and no rule leads it into its table")
    for path, text in tree().items():
        if path.endswith(".unfinished"):
            if not text.startswith("600 ") and path.startswith(SECRETS):
                wrong.append(f"{path}: others may read it: {text[:4]}")
        elif known is not None and text not in known.get(path, ()):
            wrong.append(f"{path} is neither what it was nor what it will be: {text[:300]!r}")
    return wrong


def differences(before, after):
    """Return where two states differ, in words."""
    wrong = []
    for name in sorted({*before, *after}):
        texts = [state.get(name, "(absent)").splitlines() for state in (before, after)]
        lines = list(difflib.unified_diff(*texts, lineterm="", n=0))[2:]
        if lines:
            wrong.append(f"{name}: {lines[:20]}")
    return wrong


# Cases ----------------------------------------------------------------------------------------------------------------


def claimed(arguments):
    """Return the arguments with a claim as a new run makes it."""
    with contextlib.suppress(OSError, ValueError):
        revision = json.loads(Path("/var/lib/tenantnet/run.json").read_text())["revision"]
        return {**arguments, "claim": {"run": os.urandom(8).hex(), "first": True, "revision": revision}}
    return {**arguments, "claim": {"run": os.urandom(8).hex(), "first": True, "revision": 0}}


def calls(listed):
    """Run modules undisturbed."""
    for module, arguments in listed:
        status, said, _changes = run(module, claimed(arguments))
        if status:
            raise SystemExit(f"{module}: {status}: {said}")


def main(path):
    """Attack one module: case.json has `path` (where modules are imported from), `module`, `arguments`, the rest of
    the hub that it meets: `around`, and the way back to the state before it: `reset`, a shell script, and `before`.
    Around and before are lists of modules with their arguments."""
    case = json.loads(Path(path).read_text())
    sys.path[:0] = case["path"]
    importlib.import_module("ansible.module_utils.basic")
    known = {}

    def reset():
        output(case["reset"])
        calls(case["before"])

    def learn():
        for name, text in tree().items():
            known.setdefault(name, set()).add(text)

    calls(case["around"])
    # The first way back starts from somewhere else than all others: it is not the one that is counted.
    reset()
    calls([(case["module"], case["arguments"])])
    reset()
    learn()
    status, said, changes = run(case["module"], claimed(case["arguments"]))
    if status:
        raise SystemExit(f"{case['module']}: {status}: {said}")
    learn()
    wanted = {**live(), **tree()}
    for number, change in enumerate(changes, 1):
        reset()
        # Its first key is made where there was none: then there is nothing to keep.
        before = keys()
        status, said, _changes = run(case["module"], claimed(case["arguments"]), limit=number)
        wrong = [] if status == -signal.SIGKILL else [f"was not stopped: {status}: {said[-600:]}"]
        wrong += half_open(known)
        kept = keys()
        wrong += [f"{name} was remade" for name, key in before.items() if name in kept and kept[name] != key]
        status, said, _changes = run(case["module"], claimed(case["arguments"]))
        if status:
            wrong.append(f"the next run failed: {status}: {said[-600:]}")
        wrong += differences(wanted, {**live(), **tree()})
        after = keys()
        wrong += [f"{name} was remade by the next run" for name, key in kept.items() if after.get(name, key) != key]
        print(json.dumps({"number": number, "change": change, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "wrong":
        print(json.dumps(half_open(None)))
    else:
        main(sys.argv[1])
