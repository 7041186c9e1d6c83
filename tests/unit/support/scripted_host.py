# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for driver tests: files below a folder of the test's own, commands answered by the test.

It is a stand-in for the kernel only where a test is about a driver's decisions; what the kernel does with them is
tested on the lab.
"""

from __future__ import annotations

from ansible_collections.tenantnet.wireguard.plugins.module_utils.host import Host


class ScriptedHost(Host):
    """Answers commands from a table and records every one that was run.

    answers: from the beginning of a command line to its output, or to a status other than 0; the longest match wins.
    """

    def __init__(self, root, answers=None, check=False, commands=("wg", "nft", "ip", "systemctl")):
        super().__init__(check=check, root=str(root))
        self.answers = dict(answers or {})
        self.commands = commands
        self.ran = []

    def attempt(self, argv, stdin=None):
        line = " ".join(argv)
        self.ran.append((line, stdin or ""))
        matching = [start for start in self.answers if line.startswith(start)]
        answer = self.answers[max(matching, key=len)] if matching else ""
        if callable(answer):
            answer = answer(line, stdin or "")
        return (answer, "", "scripted failure") if isinstance(answer, int) else (0, answer, "")

    def has_command(self, name):
        return name in self.commands

    def lines(self, start):
        """Return the command lines that were run and begin so."""
        return [line for line, _stdin in self.ran if line.startswith(start)]

    def inputs(self, start):
        """Return what was given to these commands by standard input."""
        return [stdin for line, stdin in self.ran if line.startswith(start)]
