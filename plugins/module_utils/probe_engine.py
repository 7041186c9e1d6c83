# Copyright: (c) 2026, tenantnet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of the sender: all probes on the wire at once, and their answers.

ICMP is read from one raw socket per family for all protocols alike. The error
queues of single sockets would tell less: kernels before 5.9 keep none for TCP
connections that are being made.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_packets import (
    FlowKey,
    ProbeError,
    address_text,
    check_address,
    describe_error,
    echo_request,
    icmp_type_filter,
    is_port_unreachable,
    parse_icmp,
    request_payload,
)
from ansible_collections.tenantnet.wireguard.plugins.module_utils.probe_state import grow_buffer

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# WireGuard keeps at most 128 packets while it shakes hands: more at once are lost.
_BURST = 32  # packets
_PAUSE = 0.02  # seconds between bursts
_ABORT_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


class Probe:
    """One question, and what is known about the answer so far."""

    def __init__(self, number: int, ident: str, address: str, protocol: str, port: int) -> None:
        self.number = number
        self.ident = ident
        self.family, self.packed = check_address(address)
        self.address = address
        self.protocol = protocol
        self.port = port
        self.attempts = 0
        self.trouble: str | None = None
        self.socket: socket.socket | None = None
        self.key: FlowKey | None = None
        self.answer: dict[str, Any] | None = None

    def conclude(self, answer: str, sender: str | None, detail: str | None) -> None:
        """Set the answer; C(sender) is the address that it came from."""
        self.answer = {"id": self.ident, "answer": answer, "by": sender, "detail": detail}


class Sender:
    """Sends probes through one interface and fills in their answers."""

    def __init__(
        self,
        run: str,
        interface: str,
        sources: Mapping[int, str],
        timeout: float,
        attempts: int,
        concurrency: int,
        marking: int,
    ) -> None:
        self.run_id = run
        self.interface = interface
        self.sources = sources
        self.timeout = timeout
        self.attempts = attempts
        self.concurrency = concurrency
        self.traffic_class = marking << 2
        self.identifier = random.SystemRandom().randrange(65536)
        self._raw: dict[int, socket.socket] = {}
        self._waiting: dict[FlowKey, Probe] = {}
        self._active = 0
        self._selector = selectors.DefaultSelector()

    def run(self, probes: Sequence[Probe], stopped: Callable[[], bool]) -> None:
        """Send all probes that have no answer yet, and wait for their answers.

        Raises ProbeError when C(stopped) turns true, and if the raw sockets cannot
        be opened; trouble with a single probe is that probe's answer.
        """
        try:
            for family in sorted({probe.family for probe in probes if not probe.answer}):
                self._raw[family] = self._open_raw(family)
            self._loop(deque(probe for probe in probes if not probe.answer), stopped)
        except OSError as exc:
            raise ProbeError(f"cannot send from {self.interface}: {exc}") from exc
        finally:
            for probe in probes:
                self._forget(probe)
            for raw in self._raw.values():
                raw.close()
            self._selector.close()

    def _loop(self, fresh: deque[Probe], stopped: Callable[[], bool]) -> None:
        again: deque[Probe] = deque()
        # All attempts last equally long, so the first to be sent is the first to end.
        running: deque[tuple[float, Probe]] = deque()
        quota, refill = _BURST, time.monotonic()
        while fresh or again or running:
            if stopped():
                raise ProbeError("stopped by a signal before all probes were answered")
            now = time.monotonic()
            if now >= refill:
                quota, refill = _BURST, now + _PAUSE
            while quota and (again or (fresh and self._active < self.concurrency)):
                probe = again.popleft() if again else fresh.popleft()
                if not probe.answer:
                    quota -= 1
                    self._attempt(probe)
                    running.append((time.monotonic() + self.timeout, probe))
            ahead = [running[0][0]] if running else []
            if again or (fresh and self._active < self.concurrency):
                ahead.append(refill)
            pause = min(ahead, default=now) - time.monotonic()
            for key, _events in self._selector.select(max(0.0, min(pause, 0.1))):
                if isinstance(key.data, Probe):
                    self._ready(key.data)
                else:
                    self._drain(key.data)
            now = time.monotonic()
            while running and (running[0][0] <= now or running[0][1].answer):
                probe = running.popleft()[1]
                if probe.answer:
                    continue
                if probe.attempts < self.attempts:
                    again.append(probe)
                else:
                    self._answer(probe, "error" if probe.trouble else "none", None, probe.trouble)

    # Sockets

    def _prepare(self, handle: socket.socket, family: int) -> None:
        """Bind to the interface and the source address, and mark; raises OSError."""
        name = self.interface.encode("ascii") + b"\0"
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        if family == 4:
            handle.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self.traffic_class)
        else:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self.traffic_class)
        handle.setblocking(False)
        if family in self.sources:
            handle.bind((self.sources[family], 0))

    def _open_raw(self, family: int) -> socket.socket:
        protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        raw = socket.socket(_FAMILIES[family], socket.SOCK_RAW, protocol)
        try:
            raw.setsockopt(*icmp_type_filter(family))
            grow_buffer(raw, 4 << 20)
            self._prepare(raw, family)
            self._selector.register(raw, selectors.EVENT_READ, family)
        except BaseException:
            raw.close()
            raise
        return raw

    def _attempt(self, probe: Probe) -> None:
        self._active += probe.attempts == 0
        probe.attempts += 1
        probe.trouble = None
        try:
            if probe.protocol == "icmp":
                self._send_icmp(probe)
            elif probe.protocol == "tcp":
                self._send_tcp(probe)
            else:
                self._send_udp(probe)
        except OSError as exc:
            probe.trouble = _describe(exc)

    def _send_icmp(self, probe: Probe) -> None:
        probe.key = FlowKey("icmp", probe.packed, self.identifier, probe.number)
        self._waiting[probe.key] = probe
        payload = request_payload(self.run_id, probe.number)
        message = echo_request(probe.family, self.identifier, probe.number, payload)
        self._raw[probe.family].sendto(message, (probe.address, 0))

    def _open(self, probe: Probe, kind: socket.SocketKind) -> socket.socket:
        self._forget(probe)
        handle = socket.socket(_FAMILIES[probe.family], kind)
        probe.socket = handle
        self._prepare(handle, probe.family)
        return handle

    def _expect(self, probe: Probe, handle: socket.socket, event: int) -> None:
        probe.key = FlowKey(probe.protocol, probe.packed, handle.getsockname()[1], probe.port)
        self._waiting[probe.key] = probe
        self._selector.register(handle, event, probe)

    def _send_tcp(self, probe: Probe) -> None:
        # Each attempt is a new connection: the kernel's own repetition comes late.
        handle = self._open(probe, socket.SOCK_STREAM)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_ON_CLOSE)
        status = handle.connect_ex((probe.address, probe.port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, os.strerror(status))
        self._expect(probe, handle, selectors.EVENT_WRITE)

    def _send_udp(self, probe: Probe) -> None:
        # One socket for all attempts, so that a late reply counts.
        if probe.socket is None or probe.key is None:
            handle = self._open(probe, socket.SOCK_DGRAM)
            handle.connect((probe.address, probe.port))
            self._expect(probe, handle, selectors.EVENT_READ)
        if probe.socket is not None:
            probe.socket.send(request_payload(self.run_id, probe.number))

    def _forget(self, probe: Probe) -> None:
        """Close what a probe has open; a connection that was made ends with a reset."""
        if probe.key is not None:
            self._waiting.pop(probe.key, None)
            probe.key = None
        if probe.socket is not None:
            # It may have failed before it was waited for.
            with suppress(KeyError, ValueError):
                self._selector.unregister(probe.socket)
            probe.socket.close()
            probe.socket = None

    # Answers

    def _answer(self, probe: Probe, answer: str, sender: str | None, detail: str | None) -> None:
        self._active -= 1
        probe.conclude(answer, sender, detail)
        self._forget(probe)

    def _drain(self, family: int) -> None:
        """Read all ICMP that has arrived; the first answer to a probe counts."""
        raw = self._raw[family]
        for _turn in range(1024):
            try:
                message, origin = raw.recvfrom(2048)
            except OSError:
                return
            if family == 4:
                # Raw sockets of IPv4 receive the IP header too.
                header = (message[0] & 0x0F) * 4
                message = message[header:]
            sender = ipaddress.ip_address(origin[0].partition("%")[0]).packed
            found = parse_icmp(family, message, sender)
            probe = self._waiting.get(found.key) if found else None
            if found is None or probe is None:
                continue
            if found.error is None:
                if found.payload == request_payload(self.run_id, probe.number):
                    self._answer(probe, "echo-reply", address_text(sender), None)
                continue
            detail = describe_error(family, found.error)
            if found.local:
                probe.trouble = f"this host: {detail}"
            elif probe.protocol == "udp" and is_port_unreachable(family, found.error):
                self._answer(probe, "port-unreachable", address_text(sender), detail)
            else:
                self._answer(probe, "icmp", address_text(sender), detail)

    def _ready(self, probe: Probe) -> None:
        # ICMP first: the kernel turns it into errors that hide who sent it.
        self._drain(probe.family)
        if probe.answer or probe.socket is None:
            return
        if probe.protocol == "udp":
            try:
                probe.socket.recv(2048)
            except OSError:
                # An ICMP error; if it was ours, the raw socket has told already.
                return
            self._answer(probe, "reply", address_text(probe.packed), None)
            return
        status = probe.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status in (0, errno.ECONNRESET):
            # Reset after it was made: the connection was accepted all the same.
            self._answer(probe, "syn-ack", address_text(probe.packed), None)
        elif status == errno.ECONNREFUSED and not probe.trouble:
            self._answer(probe, "rst", address_text(probe.packed), None)
        else:
            probe.trouble = probe.trouble or _describe(OSError(status, os.strerror(status)))
            self._forget(probe)


def _describe(exc: OSError) -> str:
    name = errno.errorcode.get(exc.errno or 0, "error")
    return f"{name}: {os.strerror(exc.errno or 0)}"
